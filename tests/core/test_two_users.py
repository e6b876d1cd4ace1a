"""Another user of the machine: a real one, with a uid of its own, who attacks the channels of this one."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import become, outside, run_as_root
from processes import Process
from snapshots import assert_identical, info

import traincast

STRANGERS = [65534, 12345]
ME = os.geteuid()


@pytest.fixture(params=STRANGERS)
def stranger(request: pytest.FixtureRequest) -> Iterator[Process]:
    with Process() as process:
        process.run("import fcntl, socket, stat")
        become(process, request.param)
        yield process


@pytest.fixture
def beside(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory that everybody may write, as /tmp without its sticky bit."""
    path = (
        Path("/dev/shm" if os.path.isdir("/dev/shm") else "/tmp") / f"traincast-test-{secrets.token_hex(8)}"
    )
    path.mkdir()
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def test_a_stranger_can_do_nothing(
    channel_name: str, traincast_dir: Path, stranger: Process, beside: Path
) -> None:
    """Open, list, replace, lock, starve: each by every way that we know of."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=0))
        reader = traincast.TrainingInfoReader(channel_name)
        files = sorted(traincast_dir.iterdir())
        assert len(files) == 4
        attacks = [
            f"os.listdir({str(traincast_dir)!r})",
            f"os.chdir({str(traincast_dir)!r})",
            f"os.open({str(traincast_dir)!r}, os.O_RDONLY | os.O_DIRECTORY)",
            f"os.chmod({str(traincast_dir)!r}, 0o777)",
            f"os.rename({str(traincast_dir)!r}, {str(traincast_dir) + '-away'!r})",
            f"os.rmdir({str(traincast_dir)!r})",
            f"os.mkdir({str(traincast_dir / 'new')!r})",
            f"os.mknod({str(traincast_dir / 'new')!r}, stat.S_IFIFO | 0o666)",
            f"os.symlink('/etc/passwd', {str(traincast_dir / 'new')!r})",
            f"open({str(traincast_dir / (channel_name + '-2@0'))!r}, 'wb')",
            f"os.listdir('/proc/{os.getpid()}/fd')",
            f"os.listdir('/proc/{os.getpid()}/map_files')",
            f"open('/proc/{os.getpid()}/mem', 'r+b')",
            f"os.kill({os.getpid()}, 9)",
        ]
        for file in map(str, files):
            attacks += [
                f"open({file!r}, 'rb')",
                f"open({file!r}, 'r+b')",
                f"os.truncate({file!r}, 0)",
                f"fcntl.lockf(open({file!r}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)",
                f"os.unlink({file!r})",
                f"os.stat({file!r})",
                f"os.chmod({file!r}, 0o666)",
                f"os.link({file!r}, {str(beside / 'link')!r})",
                f"os.rename({file!r}, {str(beside / 'moved')!r})",
                f"os.replace('/proc/self/exe', {file!r})",
            ]
        for i, attack in enumerate(attacks, 1):
            with pytest.raises(OSError, match=r"denied|not permitted|cross-device|Invalid") as caught:
                stranger.value(attack)
            assert isinstance(caught.value, PermissionError) or "replace('/proc" in attack, attack
            assert writer.publish(info(i=i)) == i + 1
            assert reader["i"] == i
        assert sorted(traincast_dir.iterdir()) == files
        assert list(beside.iterdir()) == []


def test_a_stranger_is_refused_by_the_library_itself(
    channel_name: str, traincast_dir: Path, stranger: Process
) -> None:
    uid = stranger.value("os.geteuid()")
    sentence = re.escape(
        f"{traincast_dir} cannot hold channels: it belongs to user {ME}, and you are user {uid}"
    )
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=1))
        for use in (
            f"traincast.TrainingInfoWriter({channel_name!r})",
            f"traincast.TrainingInfoReader({channel_name!r})",
            "traincast._core.list_channels()",
            "traincast._core.leftovers()",
            f"traincast._core.remove_leftover({str(traincast_dir / channel_name) + '@0'!r})",
        ):
            with pytest.raises(traincast.InsecureDirectoryError, match=sentence):
                stranger.value(use)
        assert traincast.TrainingInfoReader(channel_name)["i"] == 1


def test_directory_and_files_are_private_whatever_the_umask(channel_name: str, traincast_dir: Path) -> None:
    place = traincast_dir / "made"
    with Process(environment={"TRAINCAST_DIR": str(place)}) as other:
        other.run("os.umask(0)")
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        other.call("writer.publish", info(a=bytes(10**6)))
        assert place.stat().st_mode & 0o7777 == 0o700
        assert {path.stat().st_mode & 0o7777 for path in place.iterdir()} == {0o600}


@pytest.mark.parametrize("trap", ["directory", "open directory", "link", "file", "pipe"])
def test_a_default_directory_made_by_somebody_else_is_refused(channel_name: str, trap: str) -> None:
    """The name /dev/shm/traincast-UID can be guessed: what is put there is refused, and stays empty."""
    victim, stranger = 20_000 + secrets.randbelow(30_000), STRANGERS[0]
    path, bait = Path(f"/dev/shm/traincast-{outside(victim)}"), Path(f"/dev/shm/traincast-bait-{victim}")
    environment = {"TRAINCAST_DIR": ""}
    with Process(environment=environment) as other, Process(environment=environment) as mine:
        become(other, stranger)
        become(mine, victim)
        other.run({
            "directory": f"os.mkdir({str(path)!r}, 0o700)",
            "open directory": f"os.umask(0); os.mkdir({str(path)!r}, 0o777)",
            "link": f"os.umask(0); os.mkdir({str(bait)!r}, 0o777); os.symlink({str(bait)!r}, {str(path)!r})",
            "file": f"open({str(path)!r}, 'x').close()",
            "pipe": f"os.mkfifo({str(path)!r})",
        }[trap])  # fmt: skip
        try:
            for use in ("Writer", "Reader"):
                with pytest.raises(
                    traincast.InsecureDirectoryError, match=f"^{path} cannot hold channels: it "
                ):
                    mine.run(f"traincast.TrainingInfo{use}({channel_name!r})")
            if trap.endswith("directory"):
                assert list(path.iterdir()) == []
            if bait.exists():
                assert list(bait.iterdir()) == []
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            if bait.exists():
                bait.rmdir()


def test_a_directory_swapped_under_a_live_channel_is_refused_to_newcomers(
    channel_name: str, beside: Path
) -> None:
    """Strangers may rename it: attached readers go on, and whatever is opened next is refused."""
    victim, place = 54321, beside / "channels"
    environment = {"TRAINCAST_DIR": str(place)}
    with Process(environment=environment) as mine, Process() as other:
        become(mine, victim)
        become(other, STRANGERS[0])
        mine.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        mine.call("writer.publish", info(i=1))
        mine.run(f"reader = traincast.TrainingInfoReader({channel_name!r}); reader.read()")
        # Not sticky: renaming another user's directory is allowed here.
        other.run(f"os.rename({str(place)!r}, {str(place) + '-away'!r}); os.mkdir({str(place)!r}, 0o700)")
        mine.call("writer.publish", info(i=2))
        assert_identical(mine.value("reader.read()"), info(i=2))
        for use in (
            f"traincast.TrainingInfoWriter({channel_name!r})",
            f"traincast.TrainingInfoReader({channel_name!r})",
            f"writer.publish({info()!r} | dict(a=bytes(10**6)))",
        ):
            with pytest.raises(traincast.InsecureDirectoryError, match="it belongs to user 65534"):
                mine.run(use)
        mine.call("writer.publish", info(i=3))
        assert_identical(mine.value("reader.read()"), info(i=3))
        assert other.value(f"os.listdir({str(place)!r})") == []


@pytest.mark.parametrize("kind", ["symlink", "symlink to nothing", "hard link"])
@pytest.mark.parametrize("role", ["", ".lock", ".roster"])
def test_nothing_is_written_through_links_in_place_of_a_channels_files(
    channel_name: str, traincast_dir: Path, beside: Path, kind: str, role: str
) -> None:
    """Left by whoever could write the directory before it was closed: nothing is written through them."""
    precious = beside / "precious"
    content = secrets.token_bytes(300_000)
    if kind != "symlink to nothing":
        precious.write_bytes(content)
        precious.chmod(0o600)
    path = traincast_dir / f"{channel_name}@0{role}"
    if kind == "hard link":
        path.hardlink_to(precious)
    else:
        path.symlink_to(precious)

    def use() -> None:
        with traincast.TrainingInfoWriter(channel_name) as writer:
            writer.publish(info(i=1))
            assert traincast.TrainingInfoReader(channel_name)["i"] == 1

    if role == ".roster":  # the roster is made again
        use()
    else:
        with pytest.raises(traincast.CorruptChannelError, match=r"symbolic link|hard links"):
            use()
    if kind == "symlink to nothing":
        assert not precious.exists()
    else:
        assert precious.read_bytes() == content


run_as_root(globals())
