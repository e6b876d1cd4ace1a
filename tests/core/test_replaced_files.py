"""Files that somebody removed by hand, and a writer that makes the channel again.

Nothing in the old file says so.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
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


CALLS: dict[str, Callable[[traincast.TrainingInfoReader], bool]] = {
    "read": lambda reader: reader.read()["life"] == 2,
    "read_if_changed": lambda reader: reader.read_if_changed() is not None,
    "changed": lambda reader: reader.changed(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_reader_that_asks_seldom_finds_the_new_file(
    reader: traincast.TrainingInfoReader, call: str
) -> None:
    """It need not ask hundreds of times: an env may reset once a minute."""
    time.sleep(1.2)  # it looks at the name once a second
    assert any(CALLS[call](reader) for _ in range(16))
    assert reader["life"] == 2


def test_equal_positions_in_two_files_are_not_confused(channel_name: str) -> None:
    """While a reader makes a dictionary, another one of the process follows the channel to its next file.

    The newest snapshot of each file has the same position there.
    """

    def large(life: int, size: int) -> dict[str, object]:
        return info(
            life=life, pad=bytes(size), **{f"k{index}": [index, float(index)] for index in range(300)}
        )

    with traincast.TrainingInfoWriter(channel_name, capacity=4096) as writer:
        writer.publish(large(1, 0))
        first, second = traincast.TrainingInfoReader(channel_name), traincast.TrainingInfoReader(channel_name)
        assert first["life"] == second["life"] == 1
        writer.publish(large(2, 100_000))
        found = []

        def collecting(phase: str, _: object) -> None:
            if phase == "start" and not found:
                found.append(0)
                writer.publish(large(3, 300_000))
                found[0] = second["life"]

        thresholds = gc.get_threshold()
        gc.callbacks.append(collecting)
        gc.set_threshold(20)
        try:
            assert first["life"] == 2
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(collecting)
        assert found == [3]
        assert first.changed()
        assert first["life"] == 3
