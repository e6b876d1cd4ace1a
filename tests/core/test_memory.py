"""Figures on memory: what a channel takes, what a reader takes, and that nothing grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from processes import Process
from snapshots import info

import traincast

KIB = 1024
READERS = 4096
# Two ints and a nested dict of eight floats.
SMALL = info(version=1, reward_shaping={f"coefficient {i}": i / 7 for i in range(8)})

TOOLS = """
import gc, sys

def resident():
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def mappings(part):
    with open("/proc/self/maps") as maps:
        return [line for line in maps if part in line]

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def size(value):
    containers = sys.getsizeof(value) if isinstance(value, (dict, list)) else 0
    return containers + sum(map(size, value.values() if isinstance(value, dict) else ()))
"""


@pytest.fixture
def readers(channel_name: str) -> Any:
    with Process() as process:
        process.run(TOOLS)
        process.run(f"def attach(): return traincast.TrainingInfoReader({channel_name!r})")
        yield process


def test_a_channel_of_small_snapshots_takes_at_most_320_kib(
    channel_name: str, traincast_dir: Path, readers: Process
) -> None:
    """At most 320 KiB of shared memory, readers and sleepers included."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(SMALL)
        readers.run("reader = attach(); reader.read(); reader.wait(0.01)")
        for _ in range(100):
            writer.publish(SMALL)
        stored = sum(path.stat().st_blocks * 512 for path in traincast_dir.iterdir())
        assert 4 * 64 * KIB < stored <= 320 * KIB


def test_readers_share_one_mapping_and_no_descriptors(
    channel_name: str, traincast_dir: Path, readers: Process
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(SMALL)
        readers.run("one = attach(); one.read(); before = descriptors()")
        readers.run(f"many = [attach() for _ in range({READERS})]")
        for _ in range(2):
            readers.run("read = [reader.read() for reader in many]")
            assert (
                readers.value(f"len(mappings({traincast_dir.name + '/' + channel_name + '@0'!r} + chr(10)))")
                == 1
            )
            assert len(readers.value(f"mappings({traincast_dir.name!r})")) <= 2  # and the roster
            assert readers.value("descriptors() - before") == 0
            writer.publish(SMALL)
        writer.publish(info(large=bytes(10**6)))  # to another file: the mapping of the old one goes
        readers.run("read = [reader.read() for reader in many]; one.read()")
        readers.run("read = None; gc.collect()")
        assert len(readers.value(f"mappings({traincast_dir.name!r})")) <= 2


def test_readers_map_the_file_read_only(channel_name: str, traincast_dir: Path, readers: Process) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(SMALL)
        readers.run("reader = attach(); reader.read(); reader.wait(0.01)")
        (line,) = readers.value(f"mappings({traincast_dir.name + '/' + channel_name + '@0'!r} + chr(10))")
        assert line.split()[1] == "r--s"


def test_a_reader_takes_at_most_1_kib(channel_name: str, readers: Process) -> None:
    """At most 1 KiB besides its dictionary."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(SMALL)
        readers.run(f"""
warm = [attach() for _ in range(100)]
warm_read = [reader.read() for reader in warm]
many = [None] * {READERS}
empty = resident()
for i in range(len(many)): many[i] = attach()
attached = resident()
for reader in many: reader.read()
full = resident()
dictionaries = {READERS} * size(many[0].read())
""")
        empty, attached, full, dictionaries = readers.value("(empty, attached, full, dictionaries)")
        assert dictionaries > READERS * 300
        assert attached - empty <= READERS * KIB
        assert full - empty - dictionaries <= READERS * KIB


def test_readers_that_go_give_everything_back(
    channel_name: str, traincast_dir: Path, readers: Process
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(SMALL)
        readers.run("before = descriptors()")
        readers.run(f"for _ in range({READERS}): attach().read()")
        readers.run(
            "many = [attach() for _ in range(100)]\nfor reader in many: reader.read(); reader.close()"
        )
        assert readers.value(f"mappings({traincast_dir.name!r})") == []
        assert readers.value("descriptors() - before") == 0


def test_nothing_grows(channel_name: str, readers: Process) -> None:
    """Structures that change with every publish: caches are bounded, on both sides."""
    script = f"""
writer = traincast.TrainingInfoWriter({channel_name!r})
def round(start, count):
    for i in range(start, start + count):
        keys = {{f"key {{i}} {{j}}": [float(i)] * (i % 7) for j in range(10)}}
        writer.publish({{"approx_total_training_steps": i, **keys, "text": "x" * (i % 500)}})
        reader.read()
writer.publish({info()!r})
reader = attach()
round(0, 3000)
before = resident()
round(3000, 10000)
grown = resident() - before
"""
    readers.run(script)
    # 10,000 structures of about 1.5 KiB that were kept would be some 15 MiB.
    assert readers.value("grown") < 3 * KIB * KIB


def test_a_writer_that_failed_keeps_nothing(channel_name: str, readers: Process) -> None:
    readers.run(f"""
writer = traincast.TrainingInfoWriter({channel_name!r}, max_capacity=65536)
writer.publish({info()!r})
def fail(value):
    try: writer.publish({info()!r} | dict(a=value))
    except (traincast.UnsupportedTypeError, traincast.PayloadTooLargeError): return
    raise AssertionError
def round(count):
    for i in range(count):
        fail(["x" * 1000, bytes(10000), object()])
        fail(b"x" * 200_000)
round(200)
before = resident()
round(2000)
grown = resident() - before
""")
    assert readers.value("grown") < 3 * KIB * KIB
