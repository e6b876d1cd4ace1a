"""Files under a channel's name that are not what they should be, met by a reader, a writer, and `clean`."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import assert_identical, info

import traincast
from traincast import _core

PAGE = 4096
WORD = 8
# Words of the header and of a slot, as in rust/core/src/layout.rs.
LAYOUT, CAPACITY, IDENTITY, HEAD = 1, 3, 7, 64
SEQ, SHAPE_LEN, VALUES_LEN, PAYLOAD = 0, 9, 10, 16


def word_at(path: Path, index: int) -> int:
    with path.open("rb") as file:
        file.seek(index * WORD)
        return struct.unpack("<Q", file.read(WORD))[0]


def set_word(path: Path, index: int, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(index * WORD)
        file.write(struct.pack("<Q", value))


def slot_word(path: Path, position: int, index: int) -> int:
    """Where a word of the slot of that position stands."""
    return (PAGE + position % 4 * word_at(path, CAPACITY)) // WORD + index


@pytest.fixture
def leftover(channel_name: str, traincast_dir: Path) -> Path:
    """The file of a channel at version 3 whose writer was killed."""
    with Process() as other:
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        for i in range(3):
            other.call("writer.publish", info(i=i, text="x" * 100))
    return traincast_dir / f"{channel_name}@0"


def write(path: Path, content: bytes) -> None:
    path.unlink()
    path.touch(0o600)
    path.write_bytes(content)


def bind_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(path.parent, os.O_RDONLY)  # by way of /proc, as a socket's path has 107 bytes at most
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def replace(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


CORRUPT, INCOMPATIBLE = traincast.CorruptChannelError, traincast.IncompatibleChannelError
NOT_OURS = "it was not written by traincast"
BROKEN: dict[str, tuple[Callable[[Path], Any], Any, str]] = {
    "empty": (lambda path: write(path, b""), CORRUPT, "it has 0 bytes, which no channel has"),
    "a few bytes": (lambda path: write(path, b"hello"), CORRUPT, "it has 5 bytes, which no channel has"),
    "truncated within the header": (
        lambda path: os.truncate(path, 100),
        CORRUPT,
        "it has 100 bytes, which no channel has",
    ),
    "truncated to the header": (
        lambda path: os.truncate(path, PAGE),
        CORRUPT,
        "its header speaks of 266240 bytes in slots of 65536, and it has 4096 bytes",
    ),
    "truncated by a page": (
        lambda path: os.truncate(path, path.stat().st_size - PAGE),
        CORRUPT,
        "its header speaks of 266240 bytes in slots of 65536, and it has 262144 bytes",
    ),
    "too long": (
        lambda path: os.truncate(path, path.stat().st_size + PAGE),
        CORRUPT,
        "its header speaks of 266240 bytes in slots of 65536, and it has 270336 bytes",
    ),
    "zeros": (lambda path: write(path, bytes(266240)), CORRUPT, "it begins with zeros"),
    "another program's": (lambda path: write(path, b"\x7fELF" * 4096), INCOMPATIBLE, NOT_OURS),
    "text": (lambda path: write(path, b"a line of text.\n" * 1024), INCOMPATIBLE, NOT_OURS),
    "random": (lambda path: write(path, os.urandom(266240)), INCOMPATIBLE, NOT_OURS),
    "another version": (
        lambda path: set_word(path, LAYOUT, 99),
        INCOMPATIBLE,
        "it has layout version 99, and this is version 2",
    ),
    "capacity of 0": (
        lambda path: set_word(path, CAPACITY, 0),
        CORRUPT,
        "its header speaks of 266240 bytes in slots of 0, and it has 266240 bytes",
    ),
    "capacity beyond measure": (
        lambda path: set_word(path, CAPACITY, 2**64 - PAGE),
        CORRUPT,
        f"its header speaks of 266240 bytes in slots of {2**64 - PAGE}, and it has 266240 bytes",
    ),
    "another policy's": (
        lambda path: set_word(path, IDENTITY, word_at(path, IDENTITY) + 1),
        CORRUPT,
        "it is the file of another channel",
    ),
    "no snapshot": (lambda path: set_word(path, HEAD, 0), CORRUPT, "its newest position is 0"),
    "a directory": (
        lambda path: replace(path, Path.mkdir),
        CORRUPT,
        "it is a directory, not a regular file",
    ),
    "a symbolic link": (link, CORRUPT, "it is a symbolic link, not a regular file"),
    "a dangling link": (
        lambda path: replace(path, lambda path: path.symlink_to("nowhere")),
        CORRUPT,
        "it is a symbolic link, not a regular file",
    ),
    "a FIFO": (lambda path: replace(path, os.mkfifo), CORRUPT, "it is a named pipe, not a regular file"),
    "a socket": (bind_socket, CORRUPT, "it is a socket, not a regular file"),
    "a hard link": (
        lambda path: path.with_name("elsewhere").hardlink_to(path),
        CORRUPT,
        "it has 2 names (hard links)",
    ),
    "readable for others": (lambda path: path.chmod(0o644), CORRUPT, "others may open it (mode 0644)"),
}
if os.geteuid() == 0:  # nobody else can give files away
    BROKEN["someone else's"] = (lambda path: os.chown(path, 12345, -1), CORRUPT, "it belongs to user 12345")


def sentence(kind: Any, path: Path, reason: str) -> str:
    if kind is CORRUPT:
        return f"{path} is damaged: {reason}; `traincast clean` removes it once its writer is gone"
    return (
        f"{path} cannot be read: {reason}; "
        "use the same version of traincast on both sides, or remove the file with `traincast clean`"
    )


def clean() -> None:
    """What `traincast clean` does."""
    for entry in _core.leftovers():
        # A broken lock bars the way to the others, and goes with the first of them.
        assert _core.remove_leftover(entry["path"]) or not os.path.lexists(entry["path"]), entry
    assert _core.leftovers() == []


@pytest.mark.parametrize(("spoil", "kind", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_an_error_until_it_is_cleaned_away(
    leftover: Path, channel_name: str, spoil: Any, kind: Any, reason: str
) -> None:
    spoil(leftover)
    before = leftover.lstat()
    message = f"^{re.escape(sentence(kind, leftover, reason))}$"
    with pytest.raises(kind, match=message):
        traincast.TrainingInfoReader(channel_name).read()
    for what in ("continue", "replace", "refuse"):
        with pytest.raises(kind, match=message):
            traincast.TrainingInfoWriter(channel_name, leftover=what)
    after = leftover.lstat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    # Another channel does not mind, and once cleaned this one works too.
    for name in (f"{channel_name}-2", channel_name):
        if name == channel_name:
            assert str(leftover) in [entry["path"] for entry in _core.leftovers()]
            clean()
        with traincast.TrainingInfoWriter(name) as writer:
            assert writer.publish(info(a=1)) == 1
            assert_identical(traincast.TrainingInfoReader(name).read(), info(a=1))


DAMAGED_SLOT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a position that its slot does not have": (
        lambda path: set_word(path, HEAD, 1000 << 2),
        "its newest position is 1000, but that slot's sequence number is 0",
    ),
    "a slot that is being written for ever": (
        lambda path: set_word(path, slot_word(path, 3, SEQ), 7),
        "its newest position is 3, but that slot's sequence number is 7",
    ),
    "lengths beyond the slot": (
        lambda path: set_word(path, slot_word(path, 3, VALUES_LEN), 2**61),
        "the slot of position 3 has impossible numbers",
    ),
    "lengths that overflow": (
        lambda path: set_word(path, slot_word(path, 3, SHAPE_LEN), 2**64 - 1),
        "the slot of position 3 has impossible numbers",
    ),
}


@pytest.mark.parametrize(("spoil", "reason"), DAMAGED_SLOT.values(), ids=DAMAGED_SLOT)
def test_a_damaged_slot_is_reported(leftover: Path, channel_name: str, spoil: Any, reason: str) -> None:
    """The file is a channel's, but its newest snapshot is not whole."""
    spoil(leftover)
    message = f"^{re.escape(sentence(CORRUPT, leftover, reason))}$"
    with pytest.raises(CORRUPT, match=message):
        traincast.TrainingInfoReader(channel_name).read()
    with pytest.raises(CORRUPT, match=message):
        traincast.TrainingInfoWriter(channel_name)
    with pytest.raises(traincast.ChannelExistsError):
        traincast.TrainingInfoWriter(channel_name, leftover="refuse")
    with traincast.TrainingInfoWriter(channel_name, leftover="replace") as writer:
        assert writer.publish(info(i="new")) == 1
        assert traincast.TrainingInfoReader(channel_name)["i"] == "new"


def test_a_live_reader_reports_damage_and_recovers(channel_name: str, traincast_dir: Path) -> None:
    """It keeps what it has, is told when it looks, and goes on with the next whole snapshot."""
    path = traincast_dir / f"{channel_name}@0"
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=1))
        reader, other = (traincast.TrainingInfoReader(channel_name) for _ in range(2))
        first = reader.read()
        writer.publish(info(i=2))
        set_word(path, slot_word(path, 2, SEQ), 5)
        for _ in range(2):
            with pytest.raises(CORRUPT, match="but that slot's sequence number is 5"):
                reader.read()
            with pytest.raises(CORRUPT):
                other.read()
        assert_identical(first, info(i=1))
        assert reader.version == 1
        writer.publish(info(i=3))
        assert_identical(reader.read(), info(i=3))
        assert_identical(other.read(), info(i=3))


def test_a_symbolic_link_is_not_followed(leftover: Path, channel_name: str) -> None:
    """Its target stays as it is, even when the link is cleaned away."""
    link(leftover)
    target = leftover.with_name("elsewhere")
    content = target.read_bytes()
    for use in (traincast.TrainingInfoReader, traincast.TrainingInfoWriter):
        with pytest.raises(CORRUPT):
            use(channel_name)
    clean()
    assert target.read_bytes() == content


def test_a_copy_under_another_name_is_refused(leftover: Path, channel_name: str) -> None:
    copy = leftover.with_name(f"{channel_name}-2@0")
    shutil.copy(leftover, copy)
    message = re.escape(sentence(CORRUPT, copy, "it is the file of another channel"))
    with pytest.raises(CORRUPT, match=f"^{message}$"):
        traincast.TrainingInfoReader(f"{channel_name}-2")
    assert traincast.TrainingInfoReader(channel_name)["i"] == 2


def test_an_invalid_shape_is_reported_as_damage(leftover: Path, channel_name: str) -> None:
    """The header and the slot's lengths are valid: only decoding fails."""
    for index in range(PAYLOAD, PAYLOAD + 4):
        set_word(leftover, slot_word(leftover, 3, index), 2**64 - 1)
    reader = traincast.TrainingInfoReader(channel_name)
    for _ in range(2):
        with pytest.raises(CORRUPT, match=r"^a snapshot is damaged: "):
            reader.read()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(CORRUPT, match=r"^a snapshot is damaged: "):
            writer.update(i=1)
        assert writer.publish(info(i="whole again")) == 4
        assert_identical(reader.read(), info(i="whole again"))


@pytest.mark.parametrize("what", ["directory", "link", "FIFO", "open to others"])
def test_a_broken_lock_file_stops_writers_but_not_readers(
    leftover: Path, channel_name: str, what: str
) -> None:
    lock = leftover.with_name(f"{leftover.name}.lock")
    {
        "directory": lambda: replace(lock, Path.mkdir),
        "link": lambda: replace(lock, lambda lock: lock.symlink_to(leftover)),
        "FIFO": lambda: replace(lock, os.mkfifo),
        "open to others": lambda: lock.chmod(0o666),
    }[what]()
    with pytest.raises(CORRUPT, match=f"^{re.escape(str(lock))} is damaged: "):
        traincast.TrainingInfoWriter(channel_name)
    reader = traincast.TrainingInfoReader(channel_name)  # readers do not need it
    assert reader["i"] == 2
    assert not reader.writer_alive
    clean()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i="new"))
        assert reader["i"] == "new"


@pytest.mark.parametrize("what", ["empty", "zeros", "random", "directory", "link", "FIFO", "open to others"])
def test_a_broken_roster_stops_nobody(leftover: Path, channel_name: str, what: str) -> None:
    """The roster lists readers and sleepers: without it everything works, a little slower."""
    traincast.TrainingInfoReader(channel_name).wait(0.01)
    roster = leftover.with_name(f"{leftover.name}.roster")
    if not roster.exists():
        roster.touch(0o600)
    {
        "empty": lambda: write(roster, b""),
        "zeros": lambda: write(roster, bytes(4096)),
        "random": lambda: write(roster, os.urandom(4096)),
        "directory": lambda: replace(roster, Path.mkdir),
        "link": lambda: replace(roster, lambda roster: roster.symlink_to(leftover)),
        "FIFO": lambda: replace(roster, os.mkfifo),
        "open to others": lambda: roster.chmod(0o666),
    }[what]()
    with Process() as other, traincast.TrainingInfoWriter(channel_name) as writer:
        other.run(f"reader = traincast.TrainingInfoReader({channel_name!r})\nreader.read()")
        other.start("woken = reader.wait()")
        writer.publish(info(i="new"))
        other.finish()
        assert other.value("(woken, reader['i'])") == (True, "new")
        assert [channel["version"] for channel in _core.list_channels()] == [4]


@pytest.mark.parametrize("replacement", ["nothing", "garbage", "directory"])
def test_a_lost_file_does_not_disturb_processes_that_have_it_mapped(
    channel_name: str, traincast_dir: Path, replacement: str
) -> None:
    """Writers and readers that have it mapped go on; the next one to open it gets an error."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(i=1))
        reader = traincast.TrainingInfoReader(channel_name)
        path = traincast_dir / f"{channel_name}@0"
        path.unlink()
        if replacement == "garbage":
            path.touch(0o600)
            path.write_bytes(b"garbage" * 4096)
        elif replacement == "directory":
            path.mkdir()
        for i in range(2, 9):
            writer.publish(info(i=i))
            assert reader["i"] == i
        expected = {
            "nothing": traincast.ChannelNotFoundError,
            "garbage": (CORRUPT, INCOMPATIBLE),
            "directory": CORRUPT,
        }[replacement]
        with pytest.raises(expected):
            traincast.TrainingInfoReader(channel_name)
    assert reader.closed
    assert reader["i"] == 8
