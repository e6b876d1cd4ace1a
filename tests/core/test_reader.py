"""TrainingInfoReader: reading, looking, following the channel, pickling, closing."""

from __future__ import annotations

import copy
import pickle
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import STEPS, assert_identical, info

import traincast


def test_a_new_reader_has_read_nothing(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, 2) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name, 2)
        assert (reader.name, reader.policy_id) == (channel_name, 2)
        assert (reader.version, reader.epoch) == (0, 0)
        assert repr(reader) == f'<TrainingInfoReader "{channel_name}" policy_id=2 version=0, epoch=0>'
        reader.read()
        assert (reader.version, reader.epoch) == (1, 1)
        assert repr(reader) == f'<TrainingInfoReader "{channel_name}" policy_id=2 version=1, epoch=1>'


def test_read_returns_the_same_object_until_the_next_publish(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=[1]))
        reader = traincast.TrainingInfoReader(channel_name)
        first = reader.read()
        assert reader.read() is first
        assert reader["a"] is first["a"]
        writer.publish(info(a=[1]))  # an equal one is a new one all the same
        second = reader.read()
        assert second is not first
        assert second == first
        assert reader.read() is second


def test_each_reader_gets_a_dictionary_of_its_own(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=[1]))
        one, other = traincast.TrainingInfoReader(channel_name), traincast.TrainingInfoReader(channel_name)
        assert one.read() == other.read()
        assert one.read() is not other.read()
        assert one["a"] is not other["a"]


def test_a_reader_skips_to_the_newest_snapshot(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        reader = traincast.TrainingInfoReader(channel_name)
        for i in range(1, 1000):
            writer.publish(info(i=i))
            if i % 100 == 0:
                assert reader["i"] == i
                assert reader.version == i + 1


def test_changed_tells_of_a_newer_snapshot_and_reads_nothing(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader.changed()  # nothing was handed out yet
        reader.read()
        assert not reader.changed()
        writer.publish(info())
        assert reader.changed()
        assert reader.changed()  # looking is not reading
        assert reader.version == 1
        reader.read()
        assert not reader.changed()


def test_read_if_changed_returns_each_new_snapshot_once(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        first = reader.read_if_changed()
        assert_identical(first, info(a=1))
        assert reader.read_if_changed() is None
        assert reader.read() is first
        writer.publish(info(a=2))
        writer.publish(info(a=3))
        assert_identical(reader.read_if_changed(), info(a=3))
        assert reader.read_if_changed() is None
        writer.publish(info(a=4))
        reader.read()
        assert reader.read_if_changed() is None  # handed out by read


def test_indexing_looks_up_a_key_in_the_newest_snapshot(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 5, 7: "seven", "nested": {"a": 1}})
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader[STEPS] == 5
        assert reader[7] == "seven"
        assert reader["nested"]["a"] == 1
        for key in ("missing", 8, None):
            with pytest.raises(KeyError, match=f"^{re.escape(repr(key))}$"):
                reader[key]
        with pytest.raises(TypeError, match="unhashable"):
            reader[[]]
        writer.update(nested=None)
        assert reader["nested"] is None


# Publish times are rounded down to a tick of the kernel: 10 ms at CONFIG_HZ=100, the longest.
TICK = 0.01


def test_age_counts_from_the_publish(channel_name: str) -> None:
    """Seconds since the snapshot in hand was published, or the newest one before the first read."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        before = time.monotonic()
        writer.publish(info())
        after = time.monotonic()
        reader = traincast.TrainingInfoReader(channel_name)
        for _ in range(2):
            started = time.monotonic()
            age = reader.age
            assert started - after <= age <= time.monotonic() - before + TICK
            reader.read()
        time.sleep(0.05)
        assert reader.age >= 0.05
        writer.publish(info())
        assert reader.age >= 0.05  # not read yet
        published = time.monotonic()
        reader.read()
        assert reader.age <= time.monotonic() - before - 0.05 + TICK
        assert published <= time.monotonic()


def test_age_and_versions_agree_across_processes(channel_name: str) -> None:
    with Process() as other:
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        before = time.monotonic()
        other.call("writer.publish", info())
        reader = traincast.TrainingInfoReader(channel_name)
        reader.read()
        assert 0 <= reader.age <= time.monotonic() - before + TICK
        for version in range(2, 20):
            other.call("writer.publish", info(version=version))
            assert reader["version"] == version == reader.version


def test_writer_alive_follows_kills_takeovers_and_closes(channel_name: str) -> None:
    with Process() as other:
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        other.call("writer.publish", info())
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader.writer_alive
        other.kill()
        assert not reader.writer_alive
        assert not reader.closed
    with traincast.TrainingInfoWriter(channel_name) as writer:
        assert reader.writer_alive
        writer.publish(info(a=1))
        assert reader.writer_alive
    assert not reader.writer_alive
    assert reader.closed


def test_the_last_snapshot_can_be_read_after_the_writer_closed(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader, unread = (traincast.TrainingInfoReader(channel_name) for _ in range(2))
        first = reader.read()
        assert not reader.closed
        writer.publish(info(a=2))
    assert reader.closed
    assert unread.closed
    last = reader.read()  # published before the end, and not seen yet
    assert_identical(last, info(a=2))
    assert_identical(first, info(a=1))
    for _ in range(2):
        assert reader.read() is last
        assert not reader.changed()
        assert reader.read_if_changed() is None
        assert_identical(unread.read(), info(a=2))
    with pytest.raises(traincast.ChannelNotFoundError):
        traincast.TrainingInfoReader(channel_name)


def test_a_reader_follows_the_next_writer_after_a_close(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for i in range(5):
            writer.publish(info(i=i))
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader["i"] == 4
    with traincast.TrainingInfoWriter(channel_name) as writer:
        assert reader["i"] == 4  # there is no snapshot to move to
        assert reader.closed
        writer.publish(info(i="new"))
        assert not reader.closed
        time.sleep(0.05)  # it looks for a successor every 10 ms at most
        assert reader.changed()
        assert_identical(reader.read(), info(i="new"))
        assert (reader.version, reader.epoch) == (1, 1)
        assert reader.writer_alive
        writer.publish(info(i="newer"))
        assert reader["i"] == "newer"


def test_a_reader_notices_a_next_writer_at_the_same_version(channel_name: str) -> None:
    """Neither version nor epoch tells the two apart."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i="old"))
        reader = traincast.TrainingInfoReader(channel_name)
        old = reader.read()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i="new"))
        assert reader.changed()
        assert_identical(reader.read_if_changed(), info(i="new"))
        assert_identical(old, info(i="old"))


def test_a_new_reader_is_not_led_back_by_one_of_an_earlier_life(channel_name: str) -> None:
    """What readers of one process share must not lead the newer one back."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i="old"))
        older = traincast.TrainingInfoReader(channel_name)
        older.read()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i="new"))
        newer = traincast.TrainingInfoReader(channel_name)
    assert newer["i"] == "new"
    assert older["i"] in ("old", "new")


def test_a_reader_follows_many_lives_of_a_channel(channel_name: str, traincast_dir: Path) -> None:
    reader = None
    for life in range(30):
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info(life=life))
            reader = reader or traincast.TrainingInfoReader(channel_name)
            assert reader["life"] == life
    assert list(traincast_dir.iterdir()) == []


def test_a_reader_follows_growth_without_reading_in_between(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, capacity=4096) as writer:
        writer.publish(info(a=b""))
        reader = traincast.TrainingInfoReader(channel_name)
        for size in (10**4, 10**5, 10**6):
            writer.publish(info(a=bytes(size)))
        assert len(reader["a"]) == 10**6
        assert reader.version == 4


def test_a_reader_of_a_superseded_file_sees_the_close(channel_name: str) -> None:
    """The file that the reader has mapped was superseded; the mark of the end is in its successor."""
    with traincast.TrainingInfoWriter(channel_name, capacity=4096) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        first = reader.read()
        writer.publish(info(a=bytes(10**5)))
    assert reader.closed
    assert reader.read() is first  # its successor is gone for good


# --- a channel that is not there yet


def test_attaching_gives_up_after_its_timeout(channel_name: str) -> None:
    for timeout in (0.0, 0, 0.02):
        started = time.monotonic()
        with pytest.raises(traincast.ChannelNotFoundError):
            traincast.TrainingInfoReader(channel_name, attach_timeout=timeout)
        assert time.monotonic() - started >= timeout


@pytest.mark.parametrize("timeout", [60.0, float("inf")])
def test_attaching_waits_for_the_channel(channel_name: str, timeout: float) -> None:
    with Process() as other, traincast.TrainingInfoWriter(channel_name) as writer:
        other.run(f"timeout = float('{timeout}')")
        other.start(f"a = traincast.TrainingInfoReader({channel_name!r}, attach_timeout=timeout)['a']")
        time.sleep(0.05)  # so that it has to wait, mostly; the test holds either way
        writer.publish(info(a=1))
        other.finish()
        assert other.value("a") == 1


def test_attaching_lets_other_threads_run(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        threading.Timer(0.05, lambda: writer.publish(info(a=1))).start()
        assert traincast.TrainingInfoReader(channel_name, attach_timeout=60)["a"] == 1


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), float("-inf")])
def test_impossible_timeouts_are_refused(channel_name: str, timeout: float) -> None:
    sentence = re.escape("s is not possible; give seconds from 0 up, or math.inf")
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        with pytest.raises(ValueError, match=f"^a timeout of .* {sentence}$"):
            traincast.TrainingInfoReader(channel_name, attach_timeout=timeout)
        with pytest.raises(ValueError, match=f"^a timeout of .* {sentence}$"):
            traincast.TrainingInfoReader(channel_name).wait(timeout)


# --- closing and copying a reader


def test_a_closed_reader_says_so_at_each_use(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader, other = (traincast.TrainingInfoReader(channel_name) for _ in range(2))
        kept = reader.read()
        reader.close()
        reader.close()  # again is fine
        assert reader.closed
        assert repr(reader) == f'<TrainingInfoReader "{channel_name}" policy_id=0 closed>'
        assert (reader.name, reader.policy_id) == (channel_name, 0)
        sentence = f"^this reader of {channel_name}@0 is closed; make a new TrainingInfoReader$"
        uses: list[Any] = [
            reader.read,
            reader.changed,
            reader.read_if_changed,
            reader.wait,
            lambda: reader.wait(0),
            lambda: reader["a"],
            lambda: reader.age,
            lambda: reader.writer_alive,
        ]
        for use in uses:
            with pytest.raises(traincast.ChannelClosedError, match=sentence):
                use()
            with pytest.raises(ValueError, match=sentence):
                use()
        assert not other.closed
        assert_identical(other.read(), info(a=1))
        assert_identical(kept, info(a=1))


def test_the_context_manager_closes_the_reader(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        with traincast.TrainingInfoReader(channel_name) as reader:
            assert reader["a"] == 1
        assert reader.closed
        with pytest.raises(ZeroDivisionError), traincast.TrainingInfoReader(channel_name) as reader:
            reader["a"] / 0
        assert reader.closed


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_reader_attaches_again_with_its_timeout(channel_name: str, protocol: int) -> None:
    with traincast.TrainingInfoWriter(channel_name, 3) as writer:
        writer.publish(info(a=[1]))
        reader = traincast.TrainingInfoReader(channel_name, 3, attach_timeout=0.25)
        first = reader.read()
        copied = pickle.loads(pickle.dumps(reader, protocol))
        assert (copied.name, copied.policy_id, copied.version) == (channel_name, 3, 0)
        assert copied.changed()
        assert copied.read() == first
        assert copied.read() is not first
        writer.update(a=2)
        assert (reader["a"], copied["a"]) == (2, 2)
        data = pickle.dumps(reader, protocol)
    started = time.monotonic()
    with pytest.raises(traincast.ChannelNotFoundError):
        pickle.loads(data)
    assert time.monotonic() - started >= 0.25  # the timeout is part of the pickle


def test_a_copied_reader_is_independent(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=[1]))
        reader = traincast.TrainingInfoReader(channel_name)
        for copied in (copy.copy(reader), copy.deepcopy(reader)):
            assert copied is not reader
            assert copied["a"] == [1]
            assert copied["a"] is not reader["a"]
            copied.close()
        assert not reader.closed


def test_a_reader_can_be_pickled_to_another_process(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=1))
        assert other.call("lambda reader: reader['a']", traincast.TrainingInfoReader(channel_name)) == 1


def test_a_closed_reader_can_be_pickled(channel_name: str) -> None:
    """A copy attaches again, whatever the state of its original."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        reader.close()
        assert pickle.loads(pickle.dumps(reader))["a"] == 1
