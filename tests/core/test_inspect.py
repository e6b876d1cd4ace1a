"""What `traincast ls` and `clean` are made of: channels seen from outside, and what dead writers left."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import info

import traincast
from traincast import _core


def listed() -> dict[str, dict[str, Any]]:
    return {channel["name"]: channel for channel in _core.list_channels()}


def start_and_kill(name: str, policy_id: int = 0) -> None:
    with Process() as other:
        other.run(f"writer = traincast.TrainingInfoWriter({name!r}, {policy_id})")
        other.call("writer.publish", info())


def test_directory_is_the_one_in_use(traincast_dir: Path) -> None:
    assert _core.directory() == str(traincast_dir)


def test_an_empty_directory_has_no_channels_and_no_leftovers() -> None:
    assert _core.list_channels() == []
    assert _core.leftovers() == []


def test_a_live_channel_is_listed(channel_name: str, traincast_dir: Path) -> None:
    before = time.time()
    with traincast.TrainingInfoWriter(channel_name, 7) as writer:
        for i in range(3):
            writer.publish(info(i=i))
        (channel,) = _core.list_channels()
        assert 0 <= channel.pop("age") <= time.time() - before + 0.1  # stamps have the grain of a clock tick
        assert before - 0.1 <= channel.pop("created") <= time.time()
        assert channel.pop("size") == sum(path.stat().st_size for path in traincast_dir.iterdir())
        assert sorted(channel.pop("files")) == sorted(map(str, traincast_dir.iterdir()))
        assert before - 0.1 <= channel.pop("term") / 1e9 <= time.time()
        assert channel == {
            "name": channel_name,
            "policy_id": 7,
            "status": "live",
            "reason": None,
            "version": 3,
            "epoch": 1,
            "link": "local",
            "origin_host": platform.node(),
            "origin_pid": os.getpid(),
            "relay": None,
            "generation": 1,
            "capacity": 65536,
            "writer_pid": os.getpid(),
            "readers": [],
        }
        writer.publish(info(a=bytes(10**5)))
        (channel,) = _core.list_channels()
        assert (channel["generation"], channel["version"]) == (2, 4)
        assert 10**5 < channel["capacity"] < 1.4 * 10**5  # what was needed, and a quarter
        with pytest.raises(traincast.ChannelBusyError):  # listing has not dropped the lock
            traincast.TrainingInfoWriter(channel_name, 7)
    assert _core.list_channels() == []


def test_a_writer_that_has_not_published_is_not_listed(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name):
        assert _core.list_channels() == []
        assert _core.leftovers() == []


def test_readers_are_listed_with_how_far_behind_they_are(channel_name: str) -> None:
    with (
        traincast.TrainingInfoWriter(channel_name) as writer,
        Process() as near,
        Process() as far,
        Process() as dead,
    ):
        before = time.monotonic()
        writer.publish(info())
        for process in (near, far, dead):
            process.run(f"reader = traincast.TrainingInfoReader({channel_name!r})\nreader.read()")
        dead.kill()
        for _ in range(4):
            writer.publish(info())
        near.run("reader.read()")
        readers = {reader["pid"]: reader for reader in listed()[channel_name]["readers"]}
        here = {"alive": True, "elsewhere": False}
        assert 0 <= readers[far.pid].pop("seconds_behind") <= time.monotonic() - before + 0.1
        assert readers[far.pid] == {"pid": far.pid, "version": 1, "behind": 4, **here}
        assert readers[near.pid] == {
            "pid": near.pid, "version": 5, "behind": 0, "seconds_behind": 0, **here
        }  # fmt: skip
        assert readers.get(dead.pid, {"alive": False})["alive"] is False
        assert len(readers) <= 3


def test_a_dead_channel_is_listed_as_dead_until_it_is_taken_over(channel_name: str) -> None:
    start_and_kill(channel_name)
    channel = listed()[channel_name]
    assert (channel["status"], channel["version"], channel["epoch"]) == ("dead", 1, 1)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        channel = listed()[channel_name]
        assert (channel["status"], channel["version"], channel["epoch"]) == ("live", 1, 1)
        assert channel["writer_pid"] == os.getpid()
        writer.publish(info())
        channel = listed()[channel_name]
        assert (channel["version"], channel["epoch"], channel["generation"]) == (2, 2, 2)
        assert channel["writer_pid"] == os.getpid()


def test_a_broken_channel_does_not_hide_the_others(channel_name: str, traincast_dir: Path) -> None:
    broken = traincast_dir / "broken@3"
    broken.touch(0o600)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        channels = listed()
        assert channels[channel_name]["status"] == "live"
        assert (channels["broken"]["status"], channels["broken"]["policy_id"]) == ("broken", 3)
        assert channels["broken"]["reason"] == "it has 0 bytes, which no channel has"
        assert [entry["path"] for entry in _core.leftovers()] == [str(broken)]
        assert _core.leftovers()[0]["why"] == "broken: it has 0 bytes, which no channel has"
        assert _core.remove_leftover(str(broken)) is True
        assert _core.remove_leftover(str(broken)) is False  # gone
        assert list(listed()) == [channel_name]


def test_files_of_others_are_left_alone(channel_name: str, traincast_dir: Path) -> None:
    others = ["notes.txt", "x@", "@0", "x@65536", "x@01", ".x@0.tmp", "x@0.bak", "ä@0", "a b@0"]
    for name in others:
        (traincast_dir / name).touch(0o600)
    assert _core.list_channels() == []
    assert _core.leftovers() == []
    for name in others:
        path = str(traincast_dir / name)
        sentence = f"{path} is not a file of a channel in {traincast_dir}"
        with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
            _core.remove_leftover(path)
    for path in ("/etc/passwd", "x@0", str(traincast_dir), f"{traincast_dir}/../x@0", ""):
        with pytest.raises(ValueError, match="is not a file of a channel in"):
            _core.remove_leftover(path)
    assert sorted(os.listdir(traincast_dir)) == sorted(others)


def test_clean_removes_what_the_dead_left_and_nothing_else(channel_name: str, traincast_dir: Path) -> None:
    with traincast.TrainingInfoWriter(f"{channel_name}-live") as writer, Process() as live:
        writer.publish(info(i=1))
        live.run(f"writer = traincast.TrainingInfoWriter({channel_name + '-other'!r})")
        live.call("writer.publish", info(i=2))
        mine = traincast.TrainingInfoReader(f"{channel_name}-live")
        its = traincast.TrainingInfoReader(f"{channel_name}-other")
        mine.read()
        its.read()
        kept = sorted(os.listdir(traincast_dir))
        for policy_id in range(3):
            start_and_kill(f"{channel_name}-dead", policy_id)
        draft = traincast_dir / f".{channel_name}-dead@0.{live.pid}.abc.tmp"
        draft.touch(0o600)
        left = {path.name for path in traincast_dir.iterdir()} - set(kept)
        entries = _core.leftovers()
        assert {Path(entry["path"]).name for entry in entries} == left
        assert {entry["path"]: entry["size"] for entry in entries} == {
            str(traincast_dir / name): (traincast_dir / name).stat().st_size for name in left
        }
        whys = {entry["why"] for entry in entries}
        assert whys >= {"its writer is gone", "its writer died while it made the file"}
        for name in kept:  # asked for all the same
            assert _core.remove_leftover(str(traincast_dir / name)) is False
        for entry in entries:
            assert _core.remove_leftover(entry["path"]) is True
        assert sorted(os.listdir(traincast_dir)) == kept
        assert _core.leftovers() == []
        writer.publish(info(i=3))
        live.call("writer.publish", info(i=4))
        assert (mine["i"], its["i"]) == (3, 4)
        with pytest.raises(traincast.ChannelBusyError):
            live.run(f"traincast.TrainingInfoWriter({channel_name + '-live'!r})")


def test_readers_of_a_channel_that_was_cleaned_away_follow_the_next_one(channel_name: str) -> None:
    """They keep the last snapshot, see the end, and move to the next channel."""
    start_and_kill(channel_name)
    reader = traincast.TrainingInfoReader(channel_name)
    kept = reader.read()
    for entry in _core.leftovers():
        assert _core.remove_leftover(entry["path"])
    assert reader.closed
    assert reader.read() is kept
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i="next"))
        time.sleep(0.02)  # it looks for a successor every 10 ms
        assert reader["i"] == "next"


def test_a_leftover_that_was_taken_over_meanwhile_is_not_removed(channel_name: str) -> None:
    start_and_kill(channel_name)
    entries = _core.leftovers()
    assert entries
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for entry in entries:
            assert _core.remove_leftover(entry["path"]) is False
        writer.publish(info(i=1))
        assert traincast.TrainingInfoReader(channel_name)["i"] == 1
