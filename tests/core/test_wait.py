"""`wait`: whatever happens to the channel wakes a sleeper, and so do signals."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Process
from snapshots import info

import traincast

# A lost wake-up costs one slice of 50 ms, so only a measurement of time could tell. These tests check that a
# sleeper always wakes; how soon is for the benchmarks.


@pytest.fixture
def sleeper(channel_name: str) -> Iterator[Process]:
    with Process() as other:
        other.run("import time, threading")
        yield other


def attach(sleeper: Process, name: str) -> None:
    sleeper.run(f"reader = traincast.TrainingInfoReader({name!r}); reader.read()")


def fall_asleep(sleeper: Process, timeout: float | None = None) -> None:
    """Makes it wait; it usually sleeps when this returns, and the tests hold either way."""
    sleeper.start(f"woken = reader.wait({timeout!r})".replace("inf", "float('inf')"))
    time.sleep(0.02)


def test_wait_returns_at_once_when_there_is_something_to_read(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader.wait()  # nothing was read yet
        assert reader.wait(0)
        reader.read()
        writer.publish(info())
        assert reader.wait()
        assert reader.wait()  # waiting is not reading


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01, 0.12])
def test_wait_returns_false_at_its_timeout(channel_name: str, timeout: float) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        reader.read()
        started = time.monotonic()
        assert reader.wait(timeout) is False
        assert time.monotonic() - started >= timeout
        assert reader.wait(timeout=timeout) is False


def test_a_publish_wakes_a_sleeper(channel_name: str, sleeper: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        attach(sleeper, channel_name)
        for i in range(1, 20):
            fall_asleep(sleeper, None if i % 2 else 100)
            writer.publish(info(i=i))
            sleeper.finish()
            assert sleeper.value("(woken, reader['i'])") == (True, i)


def test_no_sleeper_misses_publishes_in_quick_succession(channel_name: str, sleeper: Process) -> None:
    """Sleeping and publishing may happen in any order: no sleeper may sleep for ever."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        attach(sleeper, channel_name)
        sleeper.start("while reader['i'] < 20_000: reader.wait()")
        for i in range(1, 20_001):
            writer.publish(info(i=i))
        sleeper.finish()


def test_each_of_many_sleepers_is_woken(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        readers = [traincast.TrainingInfoReader(channel_name) for _ in range(16)]
        seen: list[int] = []

        def follow(reader: traincast.TrainingInfoReader) -> None:
            while (i := reader["i"]) < 50:
                assert reader.wait()
            seen.append(i)

        threads = [threading.Thread(target=follow, args=(reader,)) for reader in readers]
        for thread in threads:
            thread.start()
        for i in range(1, 51):
            writer.publish(info(i=i))
            time.sleep(0.001)
        for thread in threads:
            thread.join()
        assert seen == [50] * 16


def test_a_publish_into_a_bigger_file_wakes_a_sleeper(channel_name: str, sleeper: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name, capacity=4096) as writer:
        writer.publish(info(a=b""))
        attach(sleeper, channel_name)
        for size in (10**4, 10**5, 10**6):
            fall_asleep(sleeper)
            writer.publish(info(a=bytes(size)))
            sleeper.finish()
            assert sleeper.value("(woken, len(reader['a']))") == (True, size)


def test_a_close_ends_the_wait(channel_name: str, sleeper: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
        fall_asleep(sleeper)
    sleeper.finish()
    assert sleeper.value("(woken, reader.closed, reader['a'])") == (False, True, 1)
    sleeper.run("woken = reader.wait()")  # and does not sleep now
    assert sleeper.value("woken") is False


def test_a_publish_right_before_a_close_still_counts(channel_name: str, sleeper: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
        fall_asleep(sleeper)
        writer.publish(info(a=2))
    sleeper.finish()
    assert sleeper.value("(woken, reader['a'], reader.closed)") == (True, 2, True)


def test_the_next_channel_after_a_close_ends_the_wait(channel_name: str, sleeper: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=2))
        sleeper.run("woken = reader.wait()")
        assert sleeper.value("(woken, reader['a'])") == (True, 2)


@pytest.mark.parametrize("leftover", ["continue", "replace"])
def test_the_next_writer_after_a_kill_wakes_a_sleeper(
    channel_name: str, sleeper: Process, leftover: str
) -> None:
    """A killed writer wakes nobody: the sleeper waits on, and the next writer's first snapshot wakes it."""
    with Process() as first:
        first.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        first.call("writer.publish", info(a=1))
        attach(sleeper, channel_name)
        fall_asleep(sleeper)
    assert traincast.TrainingInfoReader(channel_name).wait(0.1)
    with traincast.TrainingInfoWriter(channel_name, leftover=leftover) as writer:
        time.sleep(0.06)
        writer.publish(info(a=2))
        sleeper.finish()
        assert sleeper.value("(woken, reader['a'])") == (True, 2)


@pytest.mark.parametrize("timeout", [None, 1e9, float("inf")])
def test_ctrl_c_interrupts_a_wait(channel_name: str, sleeper: Process, timeout: float | None) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
        fall_asleep(sleeper, timeout)
        sleeper.signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            sleeper.finish()
        writer.publish(info(a=2))
        sleeper.run("woken = reader.wait(100)")
        assert sleeper.value("(woken, reader['a'])") == (True, 2)


def test_ctrl_c_interrupts_attaching(channel_name: str, sleeper: Process) -> None:
    sleeper.start(f"traincast.TrainingInfoReader({channel_name!r}, attach_timeout=1e9)")
    time.sleep(0.05)
    sleeper.signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        sleeper.finish()


def test_a_wait_goes_on_after_a_signal_handler(channel_name: str, sleeper: Process, tmp_path: Path) -> None:
    """It runs, and the wait goes on."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
        fifo = tmp_path / "called"
        os.mkfifo(fifo)
        sleeper.run(
            f"import signal\ncalls = []\ndef handler(*_): calls.append(1); open({str(fifo)!r}, 'w').close()"
        )
        sleeper.run("signal.signal(signal.SIGUSR1, handler)")
        fall_asleep(sleeper)
        sleeper.signal(signal.SIGUSR1)
        fifo.open().close()  # until the handler opens it too
        writer.publish(info(a=2))
        sleeper.finish()
        assert sleeper.value("(woken, calls, reader['a'])") == (True, [1], 2)


def test_waiting_lets_other_threads_run(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        reader.read()
        threading.Timer(0.03, lambda: writer.publish(info(a=2))).start()
        assert reader.wait()
        assert reader["a"] == 2


def test_closing_the_reader_in_another_thread_ends_the_wait_with_an_error(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        reader.read()
        threading.Timer(0.03, reader.close).start()
        with pytest.raises(traincast.ChannelClosedError, match=r"^this reader of .* is closed"):
            reader.wait()


def test_a_killed_sleeper_leaves_no_trace(channel_name: str, sleeper: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
        fall_asleep(sleeper)
        sleeper.kill()
        reader = traincast.TrainingInfoReader(channel_name)
        for i in range(100):
            writer.publish(info(a=i))
            assert reader["a"] == i
        threading.Timer(0.03, lambda: writer.publish(info(a="woken"))).start()
        assert reader.wait()
        assert reader["a"] == "woken"


def test_a_lost_roster_delays_the_wake_by_at_most_a_slice(
    channel_name: str, sleeper: Process, traincast_dir: Path
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        attach(sleeper, channel_name)
        fall_asleep(sleeper)
        (traincast_dir / f"{channel_name}@0.roster").unlink()
        writer.publish(info(a=2))
        sleeper.finish()
        fall_asleep(sleeper)
        writer.publish(info(a=3))
        sleeper.finish()
        assert sleeper.value("reader['a']") == 3


def test_damage_does_not_wake_a_sleeper(channel_name: str, traincast_dir: Path) -> None:
    """A reader that already holds the damaged snapshot keeps it, and sleeps until the next one."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        first = reader.read()
        with open(traincast_dir / f"{channel_name}@0", "r+b") as file:
            # All of the slot that holds it. A header page comes first, and the slots' capacity is 64 KiB.
            os.pwrite(file.fileno(), b"\xff" * 65536, 4096 + 65536)
        assert not reader.wait(0.05)
        assert not reader.changed()
        assert reader.read() is first
        with Process() as late:
            late.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
            assert late.value("reader.wait(0)")
            with pytest.raises(traincast.CorruptChannelError):
                late.value("reader.read()")
        writer.publish(info(a=2))
        assert reader.wait(0)
        assert reader["a"] == 2
