"""Directories that cannot be trusted with channels, or cannot be used."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import assert_identical, info

import traincast
from traincast import _core

ELSEWHERE = f"set TRAINCAST_DIR=/dev/shm/traincast-{os.geteuid()} for the learner and the envs"


def use_writer(name: str) -> Any:
    return traincast.TrainingInfoWriter(name)


def use_reader(name: str) -> Any:
    return traincast.TrainingInfoReader(name)


def use_directory(_: str) -> Any:
    return _core.directory()


USES = [use_writer, use_reader, use_directory]


def assert_refused(name: str, path: Path, reason: str, remedy: str) -> None:
    message = f"{path} cannot hold channels: {reason}; {remedy}"
    for use in USES:
        for expected in (traincast.InsecureDirectoryError, PermissionError):
            with pytest.raises(expected, match=f"^{re.escape(message)}$"):
                use(name)


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o770, 0o777, 0o1777, 0o704, 0o702])
def test_a_directory_that_others_may_enter_is_refused(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    open_to_others = traincast_dir / "open"
    open_to_others.mkdir()
    open_to_others.chmod(mode)
    monkeypatch.setenv("TRAINCAST_DIR", str(open_to_others))
    reason = f"others may enter it (mode {mode:04o})"
    inside = open_to_others / (f"traincast-{os.geteuid()}" if mode & 0o022 else "traincast")
    remedy = f"set TRAINCAST_DIR={inside} for the learner and the envs"
    made = "traincast makes that directory, for you alone"
    assert_refused(channel_name, open_to_others, reason, f"{remedy}: {made}")
    assert list(open_to_others.iterdir()) == []
    monkeypatch.setenv("TRAINCAST_DIR", str(inside))
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        assert traincast.TrainingInfoReader(channel_name)["a"] == 1


def test_a_live_channel_survives_a_directory_opened_to_others(channel_name: str, traincast_dir: Path) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        traincast_dir.chmod(0o755)
        writer.publish(info(a=2))  # what is mapped needs no directory
        assert reader["a"] == 2
        with pytest.raises(traincast.InsecureDirectoryError, match="others may enter it"):
            writer.publish(info(a=bytes(10**6)))
        with pytest.raises(traincast.InsecureDirectoryError, match="others may enter it"):
            traincast.TrainingInfoReader(channel_name)
        assert reader["a"] == 2
        traincast_dir.chmod(0o700)
        writer.publish(info(a=bytes(10**6)))
        assert len(reader["a"]) == 10**6


def test_a_warning_turned_into_an_error_is_raised_after_the_publish(
    channel_name: str, traincast_dir: Path
) -> None:
    with traincast.TrainingInfoWriter(channel_name, verify_every=0) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        traincast_dir.chmod(0o755)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(traincast.TraincastWarning):
                    writer.publish(info(a=2))
                assert (writer.version, reader["a"], reader.version) == (2, 2, 2)
                assert writer.publish(info(a=3)) == 3  # it warns once
        finally:
            traincast_dir.chmod(0o700)
        assert reader["a"] == 3


def test_a_directory_of_another_user_is_refused(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        foreign = traincast_dir / "foreign"
        foreign.mkdir(0o700)
        os.chown(foreign, 12345, -1)
        owner = 12345
    else:  # a directory of root's is everywhere
        foreign, owner = Path("/usr"), 0
    monkeypatch.setenv("TRAINCAST_DIR", str(foreign))
    reason = f"it belongs to user {owner}, and you are user {os.geteuid()}"
    assert_refused(channel_name, foreign, reason, ELSEWHERE)


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symbolic_link_is_refused(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch, dangling: bool
) -> None:
    target, link = traincast_dir / "target", traincast_dir / "link"
    if not dangling:
        target.mkdir(0o700)
    link.symlink_to(target)
    monkeypatch.setenv("TRAINCAST_DIR", str(link))
    assert_refused(channel_name, link, "it is a symbolic link", f"name the directory itself, or {ELSEWHERE}")
    assert not dangling or not target.exists()


@pytest.mark.parametrize("kind", ["regular file", "named pipe"])
def test_a_path_that_is_not_a_directory_is_refused(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = traincast_dir / "path"
    if kind == "named pipe":
        os.mkfifo(path)
    else:
        path.touch()
    monkeypatch.setenv("TRAINCAST_DIR", str(path))
    assert_refused(channel_name, path, f"it is a {kind}", f"remove it, or {ELSEWHERE}")


def test_below_a_file(channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (traincast_dir / "file").touch()
    for below in ("file/channels", "file/a/channels"):
        monkeypatch.setenv("TRAINCAST_DIR", str(traincast_dir / below))
        for attempt in (traincast.TrainingInfoWriter, traincast.TrainingInfoReader):
            with pytest.raises(OSError, match="a file is in the way: set TRAINCAST_DIR"):
                attempt(channel_name)


def test_a_missing_directory_is_made_with_its_parents(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = traincast_dir / "a" / "b" / "c"
    monkeypatch.setenv("TRAINCAST_DIR", str(path))
    old_mask = os.umask(0)
    try:
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info(a=1))
            assert traincast.TrainingInfoReader(channel_name)["a"] == 1
            assert (path / f"{channel_name}@0").exists()
    finally:
        os.umask(old_mask)
    assert {oct(p.stat().st_mode & 0o777) for p in (path, path.parent, path.parent.parent)} == {"0o700"}


@pytest.mark.parametrize("path", ["~", "~/channels", "$HOME/channels"])
def test_what_no_shell_has_replaced(
    channel_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A file of settings gives it as it is; a directory `~` in the working directory is nobody's wish."""
    monkeypatch.chdir(tmp_path)
    tries: list[Callable[[], object]] = [
        lambda: traincast.TrainingInfoWriter(channel_name),
        lambda: traincast.TrainingInfoReader(channel_name),
        lambda: traincast.Run(channel_name),
    ]
    monkeypatch.setenv("TRAINCAST_DIR", path)
    for attempt in tries:
        with pytest.raises(traincast.InsecureDirectoryError, match="give the whole path") as refused:
            attempt()
        assert str(refused.value).startswith(f"{path} cannot hold channels: no shell has replaced")
    monkeypatch.delenv("TRAINCAST_DIR")
    with pytest.raises(traincast.InsecureDirectoryError, match="give the whole path"):
        traincast.Run(channel_name, directory=path)
    assert not os.listdir(tmp_path)


def test_an_empty_path_is_no_directory(channel_name: str) -> None:
    for attempt in (traincast.TrainingInfoWriter, traincast.TrainingInfoReader, traincast.Run):
        with pytest.raises(traincast.InsecureDirectoryError, match="it is empty; give the whole path"):
            attempt(channel_name, directory="")


def test_a_relative_path_is_resolved_once(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Means the working directory at the time when the writer or reader is made."""
    (traincast_dir / "inside").mkdir(0o700)
    monkeypatch.chdir(traincast_dir)
    monkeypatch.setenv("TRAINCAST_DIR", "inside")
    with traincast.TrainingInfoWriter(channel_name) as writer:
        monkeypatch.chdir("/")
        writer.publish(info(a=1))
        monkeypatch.chdir(traincast_dir)
        reader = traincast.TrainingInfoReader(channel_name)
        monkeypatch.chdir("/")
        writer.publish(info(a=bytes(10**6)))
        assert len(reader["a"]) == 10**6


def test_the_default_directory_is_in_dev_shm_or_tmp(
    channel_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = f"traincast-{os.geteuid()}"
    places = [Path("/dev/shm") / folder, Path("/tmp") / folder]
    before = [place.exists() for place in places]
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("TRAINCAST_DIR")
        else:
            monkeypatch.setenv("TRAINCAST_DIR", value)
        assert _core.directory() in map(str, places)
        with traincast.TrainingInfoWriter(f"{channel_name}-{os.getpid()}") as writer:
            writer.publish(info(a=1))
            assert traincast.TrainingInfoReader(f"{channel_name}-{os.getpid()}")["a"] == 1
    for place, existed in zip(places, before, strict=True):
        if place.exists() and not existed:
            place.rmdir()


def test_a_directory_that_was_removed_and_made_again_is_found(channel_name: str, traincast_dir: Path) -> None:
    """Those who have the channel mapped go on; it is found again in the directory that is there then."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        reader = traincast.TrainingInfoReader(channel_name)
        shutil.rmtree(traincast_dir)
        writer.publish(info(a=2))
        assert reader["a"] == 2
        traincast_dir.mkdir(0o700)
        writer.publish(info(a=bytes(10**6)))
        assert len(reader["a"]) == 10**6
        assert len(traincast.TrainingInfoReader(channel_name)["a"]) == 10**6


def test_each_new_writer_and_reader_reads_the_environment(
    channel_name: str, traincast_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two directories are separate worlds, even in one process."""
    readers = {}
    writers = {}
    for world in ("one", "other"):
        monkeypatch.setenv("TRAINCAST_DIR", str(traincast_dir / world))
        assert _core.directory() == str(traincast_dir / world)
        writers[world] = traincast.TrainingInfoWriter(channel_name)
        writers[world].publish(info(world=world))
        readers[world] = traincast.TrainingInfoReader(channel_name)
    for world in ("one", "other"):
        assert_identical(readers[world].read(), info(world=world))
        writers[world].close()
        assert readers[world].closed


def test_a_read_only_directory_is_an_error_with_the_remedy(channel_name: str, traincast_dir: Path) -> None:
    with Process() as other:
        if os.geteuid() == 0:  # root may write everything
            os.chown(traincast_dir, 12345, -1)
            other.run("os.setgid(12345); os.setuid(12345)")
        traincast_dir.chmod(0o500)
        with pytest.raises(PermissionError, match="the directory must belong to you, with mode 0700"):
            other.run(f"traincast.TrainingInfoWriter({channel_name!r})")
        traincast_dir.chmod(0o700)
        other.run(f"traincast.TrainingInfoWriter({channel_name!r}).publish({info()!r})")


def test_another_user_can_neither_enter_nor_read(channel_name: str, traincast_dir: Path) -> None:
    """Root can become another user: the directory is closed to it, and so are the files."""
    if os.geteuid() != 0:
        assert traincast_dir.stat().st_mode & 0o777 == 0o700
        return
    with traincast.TrainingInfoWriter(channel_name) as writer, Process() as other:
        writer.publish(info(a=1))
        other.run("os.setgid(12345); os.setuid(12345)")
        for use in ("Writer", "Reader"):
            with pytest.raises(
                traincast.InsecureDirectoryError, match="it belongs to user 0, and you are user"
            ):
                other.run(f"traincast.TrainingInfo{use}({channel_name!r})")
        with pytest.raises(PermissionError):
            other.run(f"os.listdir({str(traincast_dir)!r})")
        with pytest.raises(PermissionError):
            other.run(f"open({str(traincast_dir / channel_name) + '@0'!r}, 'rb')")
        assert traincast.TrainingInfoReader(channel_name)["a"] == 1
