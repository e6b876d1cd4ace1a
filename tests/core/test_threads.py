"""Threads: many readers, one reader for many, forks beside sleepers, interpreters that end meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from processes import WATCHDOG_SECONDS, Process
from snapshots import info

import traincast

THREADS = 64


def run_all(bodies: Sequence[Callable[[], object]]) -> None:
    """In a thread each, at once; the first exception is raised here."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(bodies))

    def guarded(body: Callable[[], object]) -> None:
        try:
            start.wait()
            body()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def follow(reader: traincast.TrainingInfoReader, last: int) -> None:
    """Reads and waits until the last snapshot; each is whole and none older than the one before."""
    seen = -1
    while seen < last:
        read = reader.read()
        assert read["a"] == [read["i"]] * (1 + read["i"] % 50)
        assert read["i"] >= seen
        seen = read["i"]
        if seen < last:
            reader.wait(1)


@pytest.mark.parametrize("shared", [False, True], ids=["a reader each", "one reader"])
def test_readers_in_64_threads_see_whole_snapshots_in_order(channel_name: str, shared: bool) -> None:
    last = 300
    with traincast.TrainingInfoWriter(channel_name, capacity=4096) as writer:
        writer.publish(info(i=0, a=[0]))
        one = traincast.TrainingInfoReader(channel_name)
        readers = [one if shared else traincast.TrainingInfoReader(channel_name) for _ in range(THREADS)]

        def publish() -> None:
            for i in range(1, last + 1):
                # Twice to a bigger file.
                writer.publish(info(i=i, a=[i] * (1 + i % 50), b=bytes(20_000 if i in (100, 200) else i)))

        run_all([publish, *(lambda r=reader: follow(r, last) for reader in readers)])
        assert {reader.version for reader in readers} == {last + 1}


def test_a_reader_may_be_closed_while_threads_sleep_on_it(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0, a=[0]))
        reader = traincast.TrainingInfoReader(channel_name)
        reader.read()
        asleep = threading.Barrier(9)

        def sleep() -> None:
            asleep.wait()
            with contextlib.suppress(traincast.ChannelClosedError):
                assert reader.wait(30), "nobody has woken it"

        def close() -> None:
            asleep.wait()
            reader.close()
            writer.publish(info(i=1, a=[1, 1]))

        run_all([close, *[sleep] * 8])


def test_a_forked_child_can_use_a_reader_that_threads_sleep_on(channel_name: str) -> None:
    """The child gets a copy of an object that another thread was using; so does the child's child."""
    with Process() as other, traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0, a=[0]))
        other.run(f"""
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork in a process with threads
reader = traincast.TrainingInfoReader({channel_name!r})
stop = False
def sleep():
    while not stop: reader.wait(0.5)
def read():
    while not stop: reader.read()
threads = [threading.Thread(target=target) for target in (sleep, sleep, read)]
for thread in threads: thread.start()
def child():
    return reader["i"], reader.wait(0.001), reader.writer_alive, reader.closed
""")
        try:
            for i in range(1, 31):
                # Beside a publish, so that the readers are not only idle.
                other.start("answer = forked(lambda: (child(), forked(child)))")
                writer.publish(info(i=i, a=[i], b=bytes(i * 5000)))
                other.finish()
                for seen, _, alive, closed in other.value("answer"):
                    assert i - 1 <= seen <= i
                    assert alive
                    assert not closed
        finally:
            other.run("stop = True\nfor thread in threads: thread.join()")
        assert other.value('reader["i"]') == 30


ASLEEP = """
import os, sys, threading, time, traincast
name = sys.argv[1]
reader = traincast.TrainingInfoReader(name)
reader.read()
threads = [threading.Thread(target=reader.wait, daemon=True) for _ in range(8)]
threads += [threading.Thread(target=traincast.TrainingInfoReader(name).wait, daemon=True) for _ in range(8)]
for thread in threads: thread.start()
writer = traincast.TrainingInfoWriter(name + "-of-it")
writer.publish({"approx_total_training_steps": 1})
time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("raise SystemExit(5)", 5),
        ("os.abort()", -6),
        ("import signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -15),
        ("import signal; os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)", -9),
        ("if os.fork() == 0: sys.exit(6)\nelse: sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))", 6),
        ("if os.fork() == 0: os._exit(7)\nelse: os._exit(os.waitstatus_to_exitcode(os.wait()[1]))", 7),
    ],
    ids=["end", "exit", "_exit", "SystemExit", "abort", "SIGTERM", "SIGKILL", "fork exit", "fork _exit"],
)
def test_a_process_ends_at_once_while_its_readers_sleep(
    channel_name: str, traincast_dir: Path, tmp_path: Path, end: str, status: int
) -> None:
    """It ends at once and as told; its channel can be taken over, and others are not disturbed."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        survivor = traincast.TrainingInfoReader(channel_name)
        script = tmp_path / "asleep.py"
        script.write_text(ASLEEP + end)
        command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", script, channel_name]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WATCHDOG_SECONDS)
        assert done.returncode == status, done.stderr
        assert writer.publish(info(i=1)) == 2
        assert survivor["i"] == 1
        with traincast.TrainingInfoWriter(f"{channel_name}-of-it") as heir:
            assert heir.publish(info()) == heir.version
            assert heir.version in (1, 2)  # closed properly, or taken over
    assert os.listdir(traincast_dir) == []


def test_a_writer_may_be_used_and_dropped_in_other_threads(channel_name: str) -> None:
    """Also by several at once: every publish counts."""
    writer = traincast.TrainingInfoWriter(channel_name)
    versions: list[int] = []

    def publish() -> None:
        versions.extend(writer.publish(info(i=i, b=bytes(i * 100))) for i in range(100))

    run_all([publish] * 8)
    assert sorted(versions) == list(range(1, 801))
    reader = traincast.TrainingInfoReader(channel_name)
    assert reader.version == 0
    assert reader["i"] == 99
    run_all([writer.close] * 8)
    assert reader.closed
