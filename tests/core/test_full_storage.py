"""No room left for the channels: a small tmpfs that is filled, and a limit on the size of files."""

from __future__ import annotations

import errno
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import private_mounts
from processes import Process
from snapshots import assert_identical, info

import traincast

SIZE = 1 << 20


@pytest.fixture
def machine(traincast_dir: Path) -> Iterator[Process]:
    """A process whose channels lie on a tmpfs of 1 MiB, which ends with the process."""
    with Process(prefix=private_mounts()) as process:
        process.run("import subprocess, errno, pickle")
        options = f"size={SIZE},mode=0700"
        mount = ["mount", "-t", "tmpfs", "-o", options, "traincast-test", str(traincast_dir)]
        process.run(f"subprocess.run({mount!r}, check=True)")
        process.run(f"directory = {str(traincast_dir)!r}")
        process.run("def free(): return os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize")
        process.run("def fill(left=0): open(directory + '/filler', 'wb').write(bytes(free() - left))")
        process.run("def empty(): os.unlink(directory + '/filler')")
        process.run("def files(): return sorted(os.listdir(directory))")
        yield process


def test_a_new_channel_without_room_is_an_error_with_the_remedy(
    machine: Process, channel_name: str, traincast_dir: Path
) -> None:
    machine.run("fill(0)")
    with pytest.raises(traincast.StorageFullError):
        machine.run(f"traincast.TrainingInfoWriter({channel_name!r})")  # not even for its name
    assert machine.value("files()") == ["filler"]
    machine.run("empty()")
    machine.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
    machine.run("fill(10_000)")
    for expected in (traincast.StorageFullError, OSError):
        with pytest.raises(expected) as caught:
            machine.call("writer.publish", info(a=1))
        assert caught.value.errno == errno.ENOSPC
        path = traincast_dir / f"{channel_name}@0"
        assert str(caught.value) == (
            f"no room for {4096 * 5} bytes in {path}: the file system is full; what was published before is "
            "still there. Free some space, enlarge the file system (docker: --shm-size), "
            "or point TRAINCAST_DIR, for learner and envs alike, at another local one"
        )
    assert machine.value("files()") == ["filler", f"{channel_name}@0.lock", f"{channel_name}@0.owner"]
    with pytest.raises(traincast.ChannelNotFoundError):
        machine.run(f"traincast.TrainingInfoReader({channel_name!r})")
    machine.run("empty()")
    assert machine.call("writer.publish", info(a=1)) == 1
    assert machine.value(f"traincast.TrainingInfoReader({channel_name!r})['a']") == 1


def test_a_writer_without_room_to_grow_keeps_the_old_snapshot(machine: Process, channel_name: str) -> None:
    machine.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
    machine.call("writer.publish", info(a="before"))
    machine.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
    assert_identical(machine.value("reader.read()"), info(a="before"))
    machine.run("before = files()")
    for _ in range(3):
        with pytest.raises(
            traincast.StorageFullError, match=r"^no room for \d+ bytes in .*what was published before"
        ):
            machine.call("writer.publish", info(a=bytes(300_000)))
        with pytest.raises(traincast.StorageFullError):
            machine.call("writer.update", a=bytes(300_000))
        assert machine.value("files() == before")
        assert_identical(machine.value("reader.read()"), info(a="before"))
        assert not machine.value("reader.changed()")
    # What fits goes on being published, and read by old and new readers.
    assert machine.call("writer.publish", info(a="after")) == 2
    assert_identical(machine.value("reader.read()"), info(a="after"))
    assert_identical(machine.value(f"traincast.TrainingInfoReader({channel_name!r}).read()"), info(a="after"))
    assert machine.call("writer.publish", info(a=bytes(100_000))) == 3  # a little growth has room
    assert machine.value("reader['a'] == bytes(100_000)")


@pytest.mark.parametrize("left", range(0, 300_000, 4096 * 11))
def test_a_file_system_may_fill_up_at_any_point(machine: Process, channel_name: str, left: int) -> None:
    """From an empty file system on: open, publish, attach, wait, publish more, close."""
    machine.run(f"fill({left})")
    script = f"""
full = 0
def attempt(step):
    global full
    try:
        return step()
    except traincast.StorageFullError as error:
        assert error.errno == errno.ENOSPC
        full += 1
writer = attempt(lambda: traincast.TrainingInfoWriter({channel_name!r}))
done = 0
for size in (0, 1, 80_000, 2):
    if writer is not None and attempt(lambda: writer.publish({info()!r} | dict(size=size, a=bytes(size)))):
        done = size
        reader = traincast.TrainingInfoReader({channel_name!r})
        assert reader['size'] == size, reader.read()
        reader.wait(0.001)
    elif done:
        assert reader['size'] == done
"""
    machine.run(script)
    assert machine.value("full > 0")
    machine.run("empty()")
    machine.run(f"if writer is None: writer = traincast.TrainingInfoWriter({channel_name!r})")
    machine.call("writer.publish", info(a=1))
    assert machine.value(f"traincast.TrainingInfoReader({channel_name!r})['a']") == 1
    machine.run("writer.close()")
    assert machine.value("files()") == []


def test_a_takeover_works_on_a_full_file_system(machine: Process, channel_name: str) -> None:
    machine.run(f"""
def crash():
    writer = traincast.TrainingInfoWriter({channel_name!r})
    for i in range(3):
        writer.publish({info()!r} | dict(i=i))
    os.kill(os.getpid(), 9)
try:
    forked(crash)
except ChildProcessError:
    pass
""")
    machine.run("fill()")
    machine.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
    assert machine.value("reader['i']") == 2
    machine.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
    assert machine.call("writer.publish", info(i="after")) == 4
    assert machine.value("reader['i']") == "after"


def test_a_limit_on_file_sizes_is_an_error_that_names_it(channel_name: str) -> None:
    """`ulimit -f`: Python ignores the signal that comes with it."""
    with Process() as other:
        other.run("import resource")
        other.run(f"writer = traincast.TrainingInfoWriter({channel_name!r})")
        other.call("writer.publish", info(a=1))
        limits = (300_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        other.run(f"resource.setrlimit(resource.RLIMIT_FSIZE, {limits!r})")
        sentence = r"^no room for \d+ bytes in .*: files may not become that large here \(`ulimit -f`\); "
        with pytest.raises(traincast.StorageFullError, match=sentence) as caught:
            other.call("writer.publish", info(a=bytes(100_000)))
        assert re.search(r"what was published before is still there", str(caught.value))
        assert traincast.TrainingInfoReader(channel_name)["a"] == 1
        assert other.call("writer.publish", info(a=2)) == 2
        assert traincast.TrainingInfoReader(channel_name)["a"] == 2
