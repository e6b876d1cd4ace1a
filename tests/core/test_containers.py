"""Places as containers and clusters have them: volumes, nameless users, user namespaces, private mounts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import (
    NAMELESS,
    Machine,
    advised,
    assert_advice_helps,
    attach,
    become,
    outside,
    publish,
    run_as_root,
)
from processes import Process
from snapshots import info

import traincast


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine() as made:
        yield made


ROOTS = {
    "a Kubernetes volume": "mode=777",
    "a sticky volume": "mode=1777",
    "a volume with an fsGroup": "mode=2775",
    "a home": "mode=755",
}


@pytest.mark.parametrize("user", [None, NAMELESS])
@pytest.mark.parametrize("place", ["/dev/shm", "/tmp", *ROOTS])
def test_advice_about_a_shared_place_names_a_directory_in_it_and_helps(
    machine: Machine, channel_name: str, place: str, user: int | None
) -> None:
    path = place if place.startswith("/") else "/mnt"
    if path == "/mnt":
        machine.mount(path, ROOTS[place])
    writer = machine.process(TRAINCAST_DIR=path, HOME=path)
    if user is not None:
        become(writer, user, 0)
    with pytest.raises(traincast.InsecureDirectoryError) as caught:
        publish(writer, channel_name, 1)
    assert "chmod" not in str(caught.value)
    assert "remove" not in str(caught.value)
    inside = advised(caught.value).startswith(path + "/traincast")
    assert inside or (place, user) == ("a home", NAMELESS)  # where it may create nothing
    assert_advice_helps(machine, caught.value, user)
    assert machine.files(path) == ([Path(advised(caught.value)).name] if inside else [])


def test_the_default_directory_is_the_only_one_whose_mode_is_to_be_changed(
    machine: Machine, channel_name: str
) -> None:
    writer = machine.process()
    publish(writer, channel_name, 1)
    [folder] = machine.files("/dev/shm")
    machine.do("chmod", "755", f"/dev/shm/{folder}")
    with pytest.raises(traincast.InsecureDirectoryError, match=f"run `chmod 700 /dev/shm/{folder}`"):
        attach(machine.process(), channel_name)
    machine.do("chmod", "700", f"/dev/shm/{folder}")
    assert attach(machine.process(), channel_name) == 1


@pytest.mark.parametrize("place", ["/dev/shm", "/tmp"])
def test_the_default_directory_that_somebody_else_has_made_is_left_alone(
    machine: Machine, channel_name: str, place: str
) -> None:
    path = f"{place}/traincast-{outside(NAMELESS)}"
    machine.do("mkdir", "-m", "777", path)
    if place == "/tmp":
        machine.mount("/dev/shm", "ro,mode=1777")
    writer = machine.process()
    become(writer, NAMELESS)
    with pytest.raises(traincast.InsecureDirectoryError, match=f"^{path} cannot hold channels") as caught:
        publish(writer, channel_name, 1)
    assert advised(caught.value) == f"{path}-own"
    assert_advice_helps(machine, caught.value, NAMELESS)
    assert machine.files(path) == []


def test_a_user_without_name_home_and_own_dev_shm(machine: Machine, channel_name: str) -> None:
    """A random uid, and a memory volume at /dev/shm of root's that is open to all: no setting is needed."""
    machine.mount("/dev/shm", "size=64m,mode=777")
    writer, reader = machine.process(), machine.process()
    reader.run("import pwd")
    for process in (writer, reader):
        become(process, NAMELESS, 0)
        process.run("os.environ.pop('HOME', None); os.environ.pop('USER', None)")
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    assert machine.files("/dev/shm") == [f"traincast-{outside(NAMELESS)}"]
    with pytest.raises(KeyError):
        reader.value(f"pwd.getpwuid({NAMELESS})")
    assert [channel["name"] for channel in reader.value("traincast._core.list_channels()")] == [channel_name]


def test_the_shell_needs_no_home(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1))
        environment = {
            key: value for key, value in os.environ.items() if key not in ("HOME", "USER", "TMPDIR")
        }
        command = [sys.executable, "-m", "traincast.cli", "ls", "--json"]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert channel_name in done.stdout


def test_dev_shm_that_is_closed_to_the_user(machine: Machine, channel_name: str) -> None:
    machine.mount("/dev/shm", "mode=755")
    writer, reader = machine.process(), machine.process()
    become(writer, NAMELESS)
    become(reader, NAMELESS)
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    assert machine.files("/tmp") == [f"traincast-{outside(NAMELESS)}"]


def test_64_megabytes_of_dev_shm(machine: Machine, channel_name: str) -> None:
    """As Docker makes it: what does not fit is refused with the remedy, and the channel goes on."""
    machine.mount("/dev/shm", "size=64m,mode=1777")
    writer, reader = machine.process(), machine.process()
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    sentence = (
        r"^no room for \d+ bytes in /dev/shm/.*: the file system is full; .* --shm-size.* TRAINCAST_DIR"
    )
    with pytest.raises(traincast.StorageFullError, match=sentence):
        publish(writer, channel_name, bytes(20 * 10**6))
    publish(writer, channel_name, 2)
    assert reader.value("reader['a']") == 2
    environment = {"TRAINCAST_DIR": "/tmp/traincast"}
    writer, reader = machine.process(**environment), machine.process(**environment)
    publish(writer, channel_name, bytes(20 * 10**6))
    reader.run(f"reader = traincast.TrainingInfoReader({channel_name!r})")
    assert reader.value("len(reader['a'])") == 20 * 10**6


def test_inodes_that_run_out_are_named(machine: Machine, channel_name: str) -> None:
    machine.mount("/mnt", "nr_inodes=3,mode=1777")
    writer = machine.process(TRAINCAST_DIR="/mnt/traincast")
    with pytest.raises(traincast.StorageFullError, match="has no inodes left"):
        publish(writer, channel_name, 1)
    machine.do("touch", "/mnt/1")
    writer = machine.process(TRAINCAST_DIR="/mnt/other")
    with pytest.raises(traincast.StorageFullError, match="has no inodes left"):
        publish(writer, channel_name, 1)


def test_a_read_only_root(machine: Machine, channel_name: str) -> None:
    """As `docker run --read-only` and `readOnlyRootFilesystem` have it: /dev/shm can still be written."""
    machine.do("umount", "/tmp")
    machine.do("mount", "-o", "remount,bind,ro", "/")
    writer, reader = machine.process(), machine.process()
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    with pytest.raises(OSError, match="file system is read-only: point TRAINCAST_DIR at another one"):
        publish(machine.process(TRAINCAST_DIR="/tmp/traincast-test-not-there"), channel_name, 1)


def test_jobs_with_private_mounts_do_not_meet_and_the_error_says_where_they_looked(
    machine: Machine, channel_name: str
) -> None:
    """Slurm's job_container/tmpfs, containers without a common /dev/shm."""
    with Machine() as other:
        publish(machine.process(), channel_name, 1)
        sentence = r"in /dev/shm/(traincast-\d+) or /tmp/\1: .*another user, container or job.*TRAINCAST_DIR"
        with pytest.raises(traincast.ChannelNotFoundError, match=sentence):
            attach(other.process(), channel_name)


def test_a_reader_whose_volume_is_mounted_read_only(machine: Machine, channel_name: str) -> None:
    """It reads and waits; only `ls` does not know of it."""
    machine.mount("/mnt", "mode=1777")
    machine.do("mount", "--bind", "/mnt", "/opt")
    machine.do("mount", "-o", "remount,bind,ro", "/opt")
    writer, reader = (machine.process(TRAINCAST_DIR=f"/{volume}/traincast") for volume in ("mnt", "opt"))
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    publish(writer, channel_name, 2)
    assert reader.value("(reader.wait(60), reader['a'])") == (True, 2)


def test_an_overlay_holds_channels(machine: Machine, channel_name: str) -> None:
    machine.mount("/mnt", "mode=755")
    for folder in ("lower", "upper", "work", "merged"):
        machine.do("mkdir", f"/mnt/{folder}")
    machine.mount("/mnt/merged", "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work", "overlay")
    writer, reader = (machine.process(TRAINCAST_DIR="/mnt/merged/a/b") for _ in range(2))
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    publish(writer, channel_name, bytes(10**6))
    assert reader.value("len(reader['a'])") == 10**6


def enter_user_namespace(process: Process, uid: int, mapping: str | None) -> None:
    """Becomes a user, and that user enters a user namespace of its own."""
    process.run("import ctypes")
    become(process, uid)
    process.run("""
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(4, 1, 0, 0, 0) == 0  # PR_SET_DUMPABLE: /proc/self is its own again
assert libc.unshare(0x10000000) == 0, os.strerror(ctypes.get_errno())  # CLONE_NEWUSER
""")
    if mapping is not None:
        process.run(f"""
for file, text in ('setgroups', 'deny'), ('uid_map', {mapping!r}), ('gid_map', {mapping!r}):
    with open(f'/proc/self/{{file}}', 'w') as opened:
        opened.write(text)
""")


def test_root_of_a_user_namespace_meets_its_own_user_and_not_root(
    machine: Machine, channel_name: str
) -> None:
    """As in rootless containers, fakeroot, `unshare --map-root-user`: its number 0 is not the machine's."""
    root, mine, inside = machine.process(), machine.process(), machine.process()
    publish(root, channel_name, "root's")
    become(mine, 4321)
    enter_user_namespace(inside, 4321, "0 4321 1")
    assert inside.value("os.getuid()") == 0
    with pytest.raises(traincast.ChannelNotFoundError):
        attach(inside, channel_name)
    publish(inside, channel_name, "mine")
    if outside(4321) == 4321:
        assert attach(mine, channel_name) == "mine"
    else:  # a namespace in a namespace: each knows its neighbour's numbers only
        with pytest.raises(traincast.ChannelNotFoundError):
            attach(mine, channel_name)
    assert attach(root, channel_name) == "root's"
    assert machine.files("/dev/shm") == sorted([f"traincast-{outside(0)}", "traincast-4321"])
    inside.run(f"os.environ['TRAINCAST_DIR'] = '/dev/shm/traincast-{outside(0)}'")
    with pytest.raises(
        traincast.InsecureDirectoryError, match="it belongs to user 65534, and you are user 0"
    ) as e:
        attach(inside, channel_name)
    assert advised(e.value) == "/dev/shm/traincast-4321"


def test_a_user_without_a_number_in_its_namespace(machine: Machine, channel_name: str) -> None:
    """Where the file system knows the user, no setting is needed; otherwise the error says what to do."""
    writer, reader = machine.process(), machine.process()
    enter_user_namespace(writer, 4321, None)
    enter_user_namespace(reader, 4321, None)
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    writer.run("""
assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
assert libc.mount(b'tmpfs', b'/mnt', b'tmpfs', 0, b'mode=1777') == 0, os.strerror(ctypes.get_errno())
os.environ['TRAINCAST_DIR'] = '/mnt/traincast'
""")
    with pytest.raises(OSError, match="no number outside of its user namespace"):
        publish(writer, channel_name + "-2", 1)


run_as_root(globals())
