"""Files that somebody removed by hand, and a writer that makes the channel anew.

Nothing in the old file says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import traincast
from traincast import _core

from .processes import Process
from .snapshots import info


@pytest.fixture
def reader(channel_name: str) -> Iterator[traincast.TrainingInfoReader]:
    """A reader whose channel lives on under its name in files that the reader has never seen."""
    with Process() as first, Process() as second:
        first.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        first.call("writer.publish", info(life=1))
        with traincast.TrainingInfoReader(channel_name) as reader:
            assert reader["life"] == 1
            for file in Path(_core.directory()).glob(f"{channel_name}@*"):
                file.unlink()
            second.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
            second.call("writer.publish", info(life=2))
            yield reader


def test_a_waiting_reader_finds_the_new_file(reader: traincast.TrainingInfoReader) -> None:
    assert reader.wait(30)
    assert reader["life"] == 2


def test_a_polling_reader_finds_the_new_file(reader: traincast.TrainingInfoReader) -> None:
    deadline = time.monotonic() + 60  # against a hang: it looks once a second
    while reader.read()["life"] == 1:
        assert time.monotonic() < deadline
