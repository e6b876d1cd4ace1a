"""Snapshots that no writer makes, in a real segment that is otherwise valid.

A reader, in a process of its own under a memory limit, gives a dictionary that can be used, or raises
CorruptChannelError; it reads the next valid snapshot as if nothing had happened.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from segment_file import SHAPE_LEN, VALUES_LEN, SegmentFile, leaf, number, root, text

import traincast

EXAMPLES = int(os.environ.get("TRAINCAST_FUZZ_EXAMPLES", "300"))
STEPS = "approx_total_training_steps"


class Victim:
    """A channel whose file is ours to spoil, and a process that reads it."""

    def __init__(self, directory: Path) -> None:
        self.writer = traincast.TrainingInfoWriter("hostile")
        self.writer.publish({STEPS: 1, "text": "sound"})
        self.file = SegmentFile(directory / "hostile@0")
        self._shapes = itertools.count(1000)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("victim.py")), "hostile", "ask"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"the reader has died: status {self._process.wait()}"
        return line

    def read(self, shape: bytes, values: list[int], blobs: bytes = b"") -> str:
        """The outcome of reading this, and then of reading a valid snapshot."""
        self.file.put(shape, values, blobs, next(self._shapes))
        answer = self.ask()
        self.file.put(root(b"\x02", b"\x05"), [7, 2], b"ok", 999)
        assert self.ask() == "ok"
        return answer

    def ask(self) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write("read\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self.file.__exit__()
        self.writer.close()


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    directory = tmp_path_factory.mktemp("channels")
    directory.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINCAST_DIR", str(directory))
        with Victim(directory) as victim:
            yield victim


def assert_clear(answer: str) -> None:
    assert answer == "ok" or answer.startswith("CorruptChannelError: "), answer


NAMES = [
    *("<M8[s/0]", "<m8[s/0]", "<M8[0s]", "<M8[2147483648s]", "<M8[-1s]", "<M8[]", "<M8[generic]"),
    *("O", "|O", "|O8", "<O8", "|V8", "<f8,<f8", "(2,2)<f4", "(99999999,99999999)<f8", "|T16"),
    *("f8", "=f8", "float64", "numpy.float64", "builtins.object", "<f8\0", "a5", "|S-1", "<U536870912"),
    *("(" * 4000, "[" * 4000, "<U99999999999999999999", "<f3", "<i9", "", " ", "\ud83d", "<i" + "8" * 3000),
    *("__reduce__", "object", "O,O", "StringDType()", "|b1", "<c16", "<f16", ">U3", "|S0", "<U0"),
]
ML_DTYPES = [name for name, kind in vars(ml_dtypes).items() if isinstance(kind, type) and "info" not in name]
KNOWN = [
    *(name.encode() for name in ML_DTYPES),
    b"<f8",
    b"float32",
    b"bool",
    b"<M8[ns]",
    b"complex64",
    b"float8_e4m3fn",
    b"<U2",
    b"|S0",
]


@pytest.mark.parametrize("tag", [10, 11, 12], ids=["scalar", "array", "tensor"])
@pytest.mark.parametrize("itemsize", [0, 1, 8, 12, 16])
def test_any_name_of_a_dtype_gets_a_clear_answer(victim: Victim, tag: int, itemsize: int) -> None:
    for name in NAMES:
        node = leaf(tag, name.encode("utf8", "surrogatepass"), itemsize, None if tag == 10 else 1)
        values = [0x4141414141414141] * -(-itemsize // 8) if tag == 10 else [2]
        answer = victim.read(root(node), values, bytes(range(64)))
        assert_clear(answer)
        if "O" in name or "object" in name:
            assert answer != "ok"


@pytest.mark.parametrize("tag", [11, 12], ids=["array", "tensor"])
@pytest.mark.parametrize(
    "dims",
    [
        *([2**63], [0, 2**63], [0, 2**62], [2**62, 0], [2**64 - 1], [2**64 - 1, 0], [2**32, 2**32], [2**61]),
        *([1] * 33, [1] * 65, [1] * 255, [0] * 255, [2**40, 2**40], [2**40, 0, 2**40], [3], [9], [8, 1, 2]),
    ],
    ids=str,
)
def test_any_axes_get_a_clear_answer(victim: Victim, tag: int, dims: list[int]) -> None:
    for name, itemsize in [("<f8", 8), ("float64", 8), ("bool", 1), ("|S0", 0), ("<U1", 4), ("bfloat16", 2)]:
        assert_clear(victim.read(root(leaf(tag, name.encode(), itemsize, len(dims))), dims, bytes(64)))


@pytest.mark.parametrize("tag", [10, 11], ids=["scalar", "array"])
def test_any_bits_of_the_dtypes_of_ml_dtypes_can_be_read(victim: Victim, tag: int) -> None:
    for name in ML_DTYPES:
        itemsize = np.dtype(getattr(ml_dtypes, name)).itemsize
        for code in range(0, 256, 1 if tag == 10 else 32):
            word = int.from_bytes(bytes([code, 255 - code] * 4), "little")
            data = bytes((code + step) % 256 for step in range(64))
            node = leaf(tag, name.encode(), itemsize, None if tag == 10 else 1)
            assert victim.read(root(node), [word if tag == 10 else 64 // itemsize], data) == "ok", name
            assert_clear(victim.read(root(leaf(tag, name.encode(), 3, None if tag == 10 else 1)), [1], data))


@pytest.mark.parametrize("name", ["<U2", ">U2"])
def test_characters_beyond_unicode(victim: Victim, name: str) -> None:
    order = "little" if name[0] == "<" else "big"
    for code in (0x10FFFF, 0x110000, 0xD800, 0x7FFFFFFF, 0xFFFFFFFF):
        data = b"".join(at.to_bytes(4, order) for at in (65, code))
        scalar = victim.read(root(leaf(10, name.encode(), 8)), [int.from_bytes(data, "little")])
        array = victim.read(root(leaf(11, name.encode(), 8, 1)), [1], data)
        for answer in (scalar, array):
            assert_clear(answer)
            assert (answer == "ok") == (code <= 0x10FFFF), (hex(code), answer)


def test_a_shape_of_another_length_than_before(victim: Victim) -> None:
    for shape_len in (0, 1, 8, 9, 16, 31, 33, 100, 2**63, 2**64 - 1):
        victim.file.put(root(b"\x02", b"\x02", b"\x02"), [5, 6, 7, 8, 9], b"", 998)
        victim.file.words[victim.file.slot(victim.file.newest()) + VALUES_LEN] = 3
        assert victim.ask() == "ok"
        victim.file.put(root(b"\x02", b"\x02", b"\x02"), [5, 6, 7], b"", 998)
        victim.file.words[victim.file.slot(victim.file.newest()) + SHAPE_LEN] = shape_len
        assert victim.ask().startswith("CorruptChannelError: ")


def test_empty_texts_of_numpy_come_back(traincast_dir: Path) -> None:
    empty = {"bytes": np.bytes_(b""), "str": np.str_(""), "before": np.str_("x")}
    with traincast.TrainingInfoWriter("empty", required=()) as writer:
        reader = traincast.TrainingInfoReader
        for _ in range(3):
            writer.publish(empty)
            read = reader("empty").read()
            assert [(type(value), value) for value in read.values()] == [
                (type(value), value) for value in empty.values()
            ]


small = st.integers(0, 40)
numbers = st.one_of(small, st.sampled_from([2**31, 2**32 - 1, 2**40, 2**61, 2**63, 2**64 - 1]))
names = st.one_of(
    st.sampled_from([name.encode("utf8", "replace") for name in NAMES if len(name) < 50]),
    st.sampled_from(KNOWN),
    st.from_regex(rb"[<>|][a-zA-Z][0-9]{0,3}(\[[0-9]{0,3}[a-zA-Z]{0,2}(/[0-9])?\])?", fullmatch=True),
    st.binary(max_size=12),
)
itemsizes = st.one_of(st.sampled_from([0, 1, 2, 4, 8, 16]), numbers)
keys = st.one_of(
    st.text(max_size=4).map(lambda key: b"\0" + text(key.encode("utf8", "replace"))),
    numbers.map(lambda key: b"\x01" + number(key)),
    st.binary(max_size=40).map(lambda key: b"\x02" + text(key)),
)

# A node with the number of its values.
Node = tuple[bytes, int]


def scalar(name: bytes, itemsize: int) -> Node:
    return leaf(10, name, itemsize), min(-(-itemsize // 8), 99)


def array(tag: int, name: bytes, itemsize: int, ndim: int) -> Node:
    return leaf(tag, name, itemsize, ndim), ndim


def container(tag: int, items: list[tuple[bytes, Node]]) -> Node:
    parts = [(key if tag == 9 else b"") + node for key, (node, _) in items]
    return bytes([tag]) + number(len(items)) + b"".join(parts), sum(count for _, (_, count) in items)


nodes = st.recursive(
    st.one_of(
        st.integers(0, 6).map(lambda tag: (bytes([tag]), int(tag > 0))),
        st.builds(scalar, names, itemsizes),
        st.builds(array, st.sampled_from([11, 12]), names, itemsizes, st.one_of(st.integers(0, 3), small)),
    ),
    lambda inner: st.builds(
        container, st.sampled_from([7, 8, 9]), st.lists(st.tuples(keys, inner), max_size=5)
    ),
    max_leaves=12,
)
shapes = st.one_of(
    st.builds(container, st.just(9), st.lists(st.tuples(keys, nodes), max_size=5)),
    st.builds(lambda rest, count: (b"\x09" + rest, count), st.binary(max_size=60), small),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(shape=shapes, values=st.lists(numbers, max_size=60), blobs=st.binary(max_size=300))
def test_any_snapshot_gets_a_clear_answer(
    victim: Victim, shape: Node, values: list[int], blobs: bytes
) -> None:
    data, count = shape
    assert_clear(victim.read(data, (values + [3] * count)[:count], blobs))
    assert_clear(victim.read(data, values, blobs))
