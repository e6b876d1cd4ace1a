"""TrainingInfoWriter: versions, epochs, leftovers, checkpoints, closing."""

from __future__ import annotations

import copy
import math
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import assert_identical, info

import traincast


def start_and_kill(name: str, *snapshots: dict[str, Any]) -> None:
    """Leaves behind what a killed writer leaves."""
    with Process() as other:
        other.run(f"writer = traincast.TrainingInfoWriter({name!r})")
        for snapshot in snapshots:
            other.call("writer.publish", snapshot)


def test_a_new_channel_is_invisible_until_its_first_snapshot(channel_name: str, traincast_dir: Path) -> None:
    writer = traincast.TrainingInfoWriter(channel_name, 3)
    assert (writer.name, writer.policy_id) == (channel_name, 3)
    assert (writer.version, writer.epoch, writer.closed) == (0, 1, False)
    assert repr(writer) == f'<TrainingInfoWriter "{channel_name}" policy_id=3 version=0, epoch=1>'
    with pytest.raises(traincast.ChannelNotFoundError):  # visible together with its first snapshot
        traincast.TrainingInfoReader(channel_name, 3)
    writer.close()
    assert list(traincast_dir.iterdir()) == []


def test_each_publish_and_update_counts_as_a_version(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for version in range(1, 20):
            assert writer.publish(info(i=version)) == version == writer.version
        assert writer.update(i=0) == 20 == writer.version
        assert writer.epoch == 1


def test_each_name_and_policy_has_a_channel_of_its_own(channel_name: str) -> None:
    names = [(channel_name, 0), (channel_name, 1), (channel_name, 65535), (f"{channel_name}.roster", 0)]
    writers = [traincast.TrainingInfoWriter(*name) for name in names]
    for i, writer in enumerate(writers):
        writer.publish(info(i=i))
    readers = [traincast.TrainingInfoReader(*name) for name in names]
    assert [reader["i"] for reader in readers] == [0, 1, 2, 3]
    writers[0].close()
    assert [reader.closed for reader in readers] == [True, False, False, False]
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("name", ["a", "-", "_", "x" * 128, "A-Z.a_z-09", "a..b", "a.lock", "a.roster"])
@pytest.mark.parametrize("policy_id", [0, 65535])
def test_allowed_names_are_accepted(name: str, policy_id: int) -> None:
    with traincast.TrainingInfoWriter(name, policy_id) as writer:
        writer.publish(info(a=name))
        assert traincast.TrainingInfoReader(name, policy_id)["a"] == name
        assert writer.policy_id == policy_id


def test_required_keys_must_be_in_each_snapshot(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, required=("a", "b")) as writer:
        writer.publish({"b": 1, "a": 2})
        with pytest.raises(traincast.MissingKeyError, match=r'^info lacks the key "a"'):
            writer.publish({"b": 1, "c": 2})
        writer.update(c=1)
        assert traincast.TrainingInfoReader(channel_name).read() == {"b": 1, "a": 2, "c": 1}


def test_required_keys_may_be_empty(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        assert writer.publish({}) == 1
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader.read() == {}
        writer.update(a=1)
        assert reader.read() == {"a": 1}


def test_a_snapshot_larger_than_a_slot_moves_the_channel_to_a_bigger_file(
    channel_name: str, traincast_dir: Path
) -> None:
    """Snapshots far larger than a slot, readers follow; the old file is gone."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=b""))
        reader = traincast.TrainingInfoReader(channel_name)
        for version, size in enumerate([10, 10**5, 3, 10**6, 10**7, 1], 2):
            assert writer.publish(info(a=b"x" * size)) == version
            assert reader["a"] == b"x" * size
            assert (reader.version, reader.epoch) == (version, 1)
        writer.update(b=1)
        assert_identical(reader.read(), info(a=b"x", b=1))
        assert len([path for path in traincast_dir.iterdir() if path.name == f"{channel_name}@0"]) == 1
        assert not [path for path in traincast_dir.iterdir() if path.name.endswith(".tmp")]


@pytest.mark.parametrize("capacity", [1, 4096, 4097, 10**6])
def test_the_capacity_is_rounded_up_to_whole_pages(
    channel_name: str, traincast_dir: Path, capacity: int
) -> None:
    """Rounded up to whole pages; four slots and a page for the header."""
    with traincast.TrainingInfoWriter(channel_name, capacity=capacity) as writer:
        writer.publish(info())
        slot = math.ceil(capacity / 4096) * 4096
        assert (traincast_dir / f"{channel_name}@0").stat().st_size == 4096 + 4 * slot


def test_files_are_private(channel_name: str, traincast_dir: Path) -> None:
    old_mask = os.umask(0)
    try:
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info(a=b"x" * 10**6))
            reader = traincast.TrainingInfoReader(channel_name)
            reader.wait(0.01)  # has it join the roster
            files = list(traincast_dir.iterdir())
            assert len(files) == 4
            assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    finally:
        os.umask(old_mask)


def test_close_removes_the_files_and_may_be_repeated(channel_name: str, traincast_dir: Path) -> None:
    writer = traincast.TrainingInfoWriter(channel_name)
    writer.publish(info())
    writer.close()
    assert writer.closed
    assert list(traincast_dir.iterdir()) == []
    writer.close()  # again is fine
    assert (writer.version, writer.epoch, writer.name) == (1, 1, channel_name)
    assert " closed>" in repr(writer)


def test_context_manager_closes_on_errors_too(channel_name: str, traincast_dir: Path) -> None:
    with pytest.raises(ZeroDivisionError), traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1 / 0))
    assert writer.closed
    assert list(traincast_dir.iterdir()) == []


def test_garbage_collection_closes(channel_name: str, traincast_dir: Path) -> None:
    writer = traincast.TrainingInfoWriter(channel_name)
    writer.publish(info(a=1))
    reader = traincast.TrainingInfoReader(channel_name)
    del writer
    assert reader.closed
    assert reader["a"] == 1
    assert list(traincast_dir.iterdir()) == []
    with traincast.TrainingInfoWriter(channel_name) as writer:
        assert writer.epoch == 1


def test_end_of_the_interpreter_closes(channel_name: str, traincast_dir: Path) -> None:
    with Process() as other:
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        other.call("writer.publish", info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        assert other.exit() == 0
    assert reader.closed
    assert reader["a"] == 1
    assert list(traincast_dir.iterdir()) == []


def test_a_writer_can_be_neither_pickled_nor_copied(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(
                TypeError, match=f"^the TrainingInfoWriter of {channel_name}@0 cannot be pickled: "
            ):
                copied(writer)


# --- what a dead writer leaves


@pytest.fixture
def leftover(channel_name: str) -> str:
    """A channel at version 3, epoch 1, whose writer was killed."""
    start_and_kill(channel_name, info(a=1), info(a=2), info(a=3, b=b"blob"))
    return channel_name


def test_a_dead_writers_channel_can_still_be_read(leftover: str) -> None:
    reader = traincast.TrainingInfoReader(leftover)
    assert reader["a"] == 3
    assert not reader.writer_alive
    assert not reader.closed


def test_continue_goes_on_at_the_version_in_the_next_epoch(leftover: str) -> None:
    reader = traincast.TrainingInfoReader(leftover)
    before = reader.read()
    with traincast.TrainingInfoWriter(leftover) as writer:
        assert (writer.version, writer.epoch) == (3, 2)
        assert reader.writer_alive
        assert reader.read() is before
        assert traincast.TrainingInfoReader(leftover).read() == before
        assert writer.update(a=4) == 4
        assert_identical(reader.read(), info(a=4, b=b"blob"))
        assert (reader.version, reader.epoch) == (4, 2)


def test_continue_can_follow_any_number_of_kills(channel_name: str) -> None:
    start_and_kill(channel_name, info(a=0))
    reader = traincast.TrainingInfoReader(channel_name)
    for i in range(1, 4):
        with Process() as other:
            other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
            assert other.value("(writer.version, writer.epoch)") == (i, i + 1)
            other.call("writer.publish", info(a=i))
        assert reader["a"] == i
        assert (reader.version, reader.epoch) == (i + 1, i + 1)


def test_replace_starts_a_new_channel_which_readers_follow(leftover: str) -> None:
    reader = traincast.TrainingInfoReader(leftover)
    before = reader.read()
    with traincast.TrainingInfoWriter(leftover, leftover="replace") as writer:
        assert (writer.version, writer.epoch) == (0, 1)
        assert reader.read() is before
        with pytest.raises(traincast.ChannelNotFoundError):  # the old steps are shown to nobody new
            traincast.TrainingInfoReader(leftover)
        assert writer.publish(info(c=1)) == 1
        assert_identical(reader.read(), info(c=1))
        assert (reader.version, reader.epoch) == (1, 1)
        assert writer.update(c=2) == 2
        assert_identical(reader.read(), info(c=2))


def test_replace_starts_without_the_old_info(leftover: str) -> None:
    with traincast.TrainingInfoWriter(leftover, leftover="replace") as writer:
        assert writer.state_dict()["training_info"] is None
        with pytest.raises(traincast.MissingKeyError):
            writer.update(a=1)


def test_refuse_names_the_leftover_and_leaves_it_alone(leftover: str) -> None:
    sentence = (
        f'a writer that no longer lives left channel "{leftover}" (policy 0) behind at version 3; '
        'take it over with leftover="continue", start anew with leftover="replace", '
        "or remove it with `traincast clean`"
    )
    for kind in (traincast.ChannelExistsError, FileExistsError):
        with pytest.raises(kind, match=f"^{re.escape(sentence)}$"):
            traincast.TrainingInfoWriter(leftover, leftover="refuse")
    assert traincast.TrainingInfoReader(leftover)["a"] == 3
    with traincast.TrainingInfoWriter(leftover) as writer:  # the refused one holds no lock
        assert writer.version == 3


@pytest.mark.parametrize("kind", ["continue", "replace", "refuse"])
def test_every_choice_starts_anew_when_nothing_is_left(channel_name: str, kind: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name, leftover=kind) as writer:
        assert (writer.version, writer.epoch) == (0, 1)
    with traincast.TrainingInfoWriter(
        channel_name, leftover=kind
    ) as writer:  # closed properly: nothing is left
        assert writer.publish(info()) == 1
        assert writer.epoch == 1


# --- checkpoints


def test_the_state_dict_is_an_independent_copy_that_can_be_pickled(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, 2) as writer:
        empty = {"name": channel_name, "policy_id": 2, "version": 0, "epoch": 1, "training_info": None}
        assert writer.state_dict() == empty
        writer.publish(info(a=[1, (2.5, b"x")]))
        state = writer.state_dict()
        assert_identical(state, {**empty, "version": 1, "training_info": info(a=[1, (2.5, b"x")])})
        state["training_info"]["a"].append("edited")
        assert_identical(writer.state_dict()["training_info"], info(a=[1, (2.5, b"x")]))
    assert_identical(pickle.loads(pickle.dumps(state)), state)


def test_load_state_dict_publishes_the_saved_snapshot_under_a_later_version(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for i in range(7):
            writer.publish(info(i=i))
        state = writer.state_dict()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.load_state_dict(OrderedDict(state))
        assert writer.version == 8
        reader = traincast.TrainingInfoReader(channel_name)
        assert_identical(reader.read(), info(i=6))
        assert reader.version == 8
        assert reader.epoch == writer.epoch > state["epoch"]
        assert writer.update(i=7) == 9
        assert_identical(reader.read(), info(i=7))


def test_load_state_dict_never_takes_the_version_back(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        state = writer.state_dict()
        for i in range(1, 9):
            writer.publish(info(i=i))
        reader = traincast.TrainingInfoReader(channel_name)
        assert reader["i"] == 8
        writer.load_state_dict(state)
        assert writer.version == 10
        assert reader["i"] == 0
        assert reader.version == 10


def test_the_state_dict_of_an_empty_channel_can_be_loaded(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.load_state_dict(writer.state_dict())
        assert writer.version == 0
        with pytest.raises(traincast.ChannelNotFoundError):
            traincast.TrainingInfoReader(channel_name)
        assert writer.publish(info()) == 1


@pytest.mark.parametrize("missing", ["version", "epoch", "training_info"])
def test_an_incomplete_state_dict_is_refused(channel_name: str, missing: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        state = writer.state_dict()
        del state[missing]
        with pytest.raises(KeyError, match=missing):
            writer.load_state_dict(state)
        assert writer.version == 1


def test_a_refused_state_dict_changes_nothing(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        with pytest.raises(traincast.UnsupportedTypeError):
            writer.load_state_dict({"version": 50, "epoch": 5, "training_info": info(a=set())})
        assert (writer.version, writer.epoch) == (1, 1)
        assert writer.publish(info(a=2)) == 2
