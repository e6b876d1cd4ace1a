"""One process, many threads: readers of their own, a reader shared by all, a writer shared by all."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from snapshots import info

import traincast


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def snapshot(i: int) -> dict[str, Any]:
    """Every part tells `i`."""
    return info(i=i, text=str(i) * (i % 9), list=[i, (i, [i])], array=np.full(i % 5, i), keys={f"{i % 3}": i})


def whole(read: dict[str, Any]) -> int:
    i = read["i"]
    assert read["text"] == str(i) * (i % 9)
    assert read["list"] == [i, (i, [i])]
    assert read["array"].tolist() == [i] * (i % 5)
    assert read["keys"] == {f"{i % 3}": i}
    return i


def run_all(targets: list[Callable[[], None]]) -> None:
    """Runs them at once; the first exception of any is raised."""
    failures: list[BaseException] = []

    def guarded(target: Callable[[], None]) -> None:
        try:
            target()
        except BaseException as error:  # handed over to the test's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


LAST = 2000


def publisher(writer: traincast.TrainingInfoWriter) -> Callable[[], None]:
    def publish() -> None:
        for i in range(1, LAST + 1):
            writer.publish(snapshot(i))

    return publish


def follower(reader: traincast.TrainingInfoReader, ways: int) -> Callable[[], None]:
    def follow() -> None:
        seen = 0
        while seen < LAST:
            if ways == 0:
                i = whole(reader.read())
            elif ways == 1:
                i = whole(reader.read_if_changed() or reader.read())
            elif ways == 2:
                reader.wait(0.01)
                i = whole(reader.read())
            else:
                reader.changed()
                i = reader["i"]
            assert i >= seen
            seen = i

    return follow


def test_readers_of_their_own(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot(0))
        readers = [traincast.TrainingInfoReader(channel_name) for _ in range(64)]
        run_all([publisher(writer), *(follower(reader, number % 4) for number, reader in enumerate(readers))])


def test_one_reader_for_all(channel_name: str) -> None:
    """Whole dictionaries, never older ones."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot(0))
        reader = traincast.TrainingInfoReader(channel_name)
        run_all([publisher(writer), *(follower(reader, number % 4) for number in range(16))])
        assert reader.version == LAST + 1


def test_one_writer_for_all(channel_name: str) -> None:
    """No version is given twice; what cannot be done at the moment says so."""
    versions: list[int] = []
    refusals: set[str] = set()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot(0))
        reader = traincast.TrainingInfoReader(channel_name)

        def publish() -> None:
            for i in range(300):
                try:
                    versions.append(writer.publish(snapshot(i)))
                except RuntimeError as error:
                    refusals.add(str(error))
                whole(reader.read())

        run_all([publish] * 8)
        assert all(refusal.endswith("publish from one thread at a time") for refusal in refusals)
        assert len(set(versions)) == len(versions)
        assert max(versions) == writer.version == len(versions) + 1


def test_readers_that_come_and_go(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot(0))

        def come_and_go() -> None:
            for _ in range(300):
                with traincast.TrainingInfoReader(channel_name) as reader:
                    whole(reader.read())

        run_all([publisher(writer), *[come_and_go] * 8])


def test_channels_that_come_and_go(channel_name: str) -> None:
    """Closing and opening again under readers that stay."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot(0))
        readers = [traincast.TrainingInfoReader(channel_name) for _ in range(8)]
    done = threading.Event()

    def lives() -> None:
        for i in range(200):
            with traincast.TrainingInfoWriter(channel_name) as writer:
                writer.publish(snapshot(i))
                writer.publish({**snapshot(i), "blob": bytes(10**5 if i % 10 == 0 else 1)})
        done.set()

    def read(reader: traincast.TrainingInfoReader) -> None:
        while not done.is_set():
            whole(reader.read())
            reader.wait(0.001)

    run_all([lives, *((lambda reader=reader: read(reader)) for reader in readers)])
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot(7))
        assert [whole(reader.read()) for reader in readers] == [7] * 8
