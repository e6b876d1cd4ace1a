"""Where channels lie if nobody says: /dev/shm, else /tmp, and both sides look in both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from machines import EVERYBODYS, Machine, assert_advice_helps, attach, publish

import traincast

UNUSABLE = {
    "missing": "there is no directory /dev/shm",
    "read-only": "/dev/shm is read-only",
    "full": "/dev/shm is full",
    "without inodes": "/dev/shm has no inodes left",
}


def spoil(machine: Machine, how: str) -> None:
    if how == "missing":
        machine.mount("/dev", "mode=755")
    elif how == "read-only":
        machine.mount("/dev/shm", "ro")
    elif how == "full":
        machine.mount("/dev/shm", "size=64k,mode=1777")
        machine.fill("/dev/shm")
    else:
        machine.mount("/dev/shm", "nr_inodes=5,mode=1777")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(shm="size=10m,mode=1777") as made:
        yield made


def test_a_working_dev_shm_is_the_place_whatever_tmpdir_says(machine: Machine, channel_name: str) -> None:
    writer, reader = machine.process(TMPDIR="/no/such/directory"), machine.process(TMPDIR="/tmp/other")
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    [folder] = machine.files("/dev/shm")
    assert writer.value("traincast._core.directory()") == f"/dev/shm/{folder}"
    assert reader.value("traincast._core.directories()") == [f"/dev/shm/{folder}", f"/tmp/{folder}"]
    assert machine.files("/tmp") == []


@pytest.mark.parametrize("how", UNUSABLE)
def test_without_dev_shm_both_sides_meet_in_tmp_whatever_tmpdir_says(
    machine: Machine, channel_name: str, how: str
) -> None:
    spoil(machine, how)
    writer = machine.process(TMPDIR="/tmp/mine")
    reader = machine.process(TMPDIR="/no/such/directory")
    sentence = r"in /dev/shm/(traincast-\d+) or /tmp/\1: its writer has not published yet"
    with pytest.raises(traincast.ChannelNotFoundError, match=sentence):
        attach(reader, channel_name)
    room = how in ("full", "without inodes")
    publish(writer, channel_name, 1, moved=f"{UNUSABLE[how]}: the channel is in /tmp" if room else None)
    assert attach(reader, channel_name) == 1
    [folder] = machine.files("/tmp")
    assert f"{channel_name}@0" in machine.files(f"/tmp/{folder}")
    listed = reader.value("[channel['name'] for channel in traincast._core.list_channels()]")
    assert listed == [channel_name]
    publish(writer, channel_name, bytes(10**6))  # grows, says nothing more
    assert reader.value("len(reader['a'])") == 10**6
    if how != "missing":
        assert set(machine.files("/dev/shm")) <= {"filler"}


@pytest.mark.parametrize("how", ["full", "without inodes"])
def test_a_channel_stays_where_it_is_and_has_one_writer(
    machine: Machine, channel_name: str, how: str
) -> None:
    first, second, reader = machine.process(), machine.process(), machine.process()
    publish(first, channel_name, "early")
    moved = "moved"
    if how == "full":
        machine.fill("/dev/shm")
    else:
        machine.do("mount", "-o", "remount,nr_inodes=12", "/dev/shm")
        for i in range(6):
            machine.do("touch", f"/dev/shm/{i}")
    # A channel stays where it was, with its writer: also for newcomers that would have to go elsewhere.
    with pytest.raises(traincast.ChannelBusyError):
        publish(second, channel_name, "thief")
    publish(first, channel_name, "late")
    assert attach(reader, channel_name) == "late"
    # A newcomer goes elsewhere now, and stays there when there is room again.
    [folder] = {name for name in machine.files("/dev/shm") if name.startswith("traincast-")}
    publish(second, moved, "two", moved=UNUSABLE[how].replace("/dev/shm", f"/dev/shm/{folder}"))
    machine.do("mount", "-o", "remount,size=20m,nr_inodes=100", "/dev/shm")
    with pytest.raises(traincast.ChannelBusyError, match=f"has a live writer: process {second.pid};"):
        publish(first, moved, "thief")
    third = machine.process()
    publish(third, "another", 3)
    assert {"another@0", f"{channel_name}@0"} <= set(machine.files(f"/dev/shm/{folder}"))
    assert f"{moved}@0" in machine.files(f"/tmp/{folder}")
    # A dead writer's channel is taken over where it is, and its readers go along.
    assert attach(reader, moved) == "two"
    second.kill()
    publish(third, moved, "three")
    assert third.value(f"globals()[{moved!r}].version") == 2
    assert reader.value("reader['a']") == "three"
    # After a clean end the name is free, the better place is taken, and attached readers find it there.
    third.run(f"globals()[{moved!r}].close()")
    publish(first, moved, "four")
    assert f"{moved}@0" in machine.files(f"/dev/shm/{folder}")
    assert f"{moved}@0" not in machine.files(f"/tmp/{folder}")
    reader.run("""
while reader['a'] != 'four':
    pass
""")


def test_a_sleeping_reader_wakes_up_when_the_channel_comes_back_in_another_place(
    machine: Machine, channel_name: str
) -> None:
    machine.mount("/dev/shm", "ro,mode=1777")
    writer, reader = machine.process(), machine.process()
    publish(writer, channel_name, 1)
    assert attach(reader, channel_name) == 1
    machine.do("umount", "/dev/shm")
    writer.run(f"globals().pop({channel_name!r}).close()")
    publish(writer, channel_name, 2)
    assert len(machine.files("/dev/shm")) == 1
    reader.run("""
while reader['a'] != 2:
    reader.wait(1.0)
""")


def test_leftovers_of_both_places_are_removed(machine: Machine, channel_name: str) -> None:
    writer, other = machine.process(), machine.process()
    publish(writer, channel_name, 1)
    machine.mount("/dev/shm", "ro")
    publish(other, channel_name + "-2", 2)
    machine.do("umount", "/dev/shm")
    writer.kill()
    other.kill()
    third = machine.process()
    paths = third.value("[leftover['path'] for leftover in traincast._core.leftovers()]")
    assert {path.split("/")[1] for path in paths} == {"dev", "tmp"}
    third.run(f"for path in {paths!r}: traincast._core.remove_leftover(path)")
    assert third.value("traincast._core.leftovers() + traincast._core.list_channels()") == []


@pytest.mark.parametrize("why", ["read-only", "full"])
def test_without_any_place_the_error_names_one_that_helps(
    machine: Machine, channel_name: str, why: str
) -> None:
    """A read-only root, say, with a tmpfs somewhere."""
    machine.mount("/var/tmp", EVERYBODYS)
    for path in ("/dev/shm", "/tmp"):
        machine.mount(path, "ro" if why == "read-only" else "size=64k,mode=1777")
        if why == "full":
            machine.fill(path)
    writer = machine.process(TMPDIR="/var/tmp")
    expected = OSError if why == "read-only" else traincast.StorageFullError
    with pytest.raises(expected) as caught:
        publish(writer, channel_name, 1)
    assert f"/dev/shm is {why}, and /tmp is {why}" in str(caught.value)
    if why == "read-only":
        assert "there is no place for channels: " in str(caught.value)
        assert_advice_helps(machine, caught.value)
    else:
        assert "--shm-size" in str(caught.value)
    with pytest.raises(traincast.ChannelNotFoundError, match=r"in /dev/shm/traincast-\d+ or /tmp/"):
        attach(machine.process(), channel_name)
