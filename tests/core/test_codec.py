"""Python's own types through shared memory: what comes back."""

from __future__ import annotations

import enum
import math
import struct
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from snapshots import STEPS, assert_identical, info, round_trip

import traincast


def float_from_bits(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


QUIET_NAN_WITH_PAYLOAD = float_from_bits(0x7FF8_0000_DEAD_BEEF)
NEGATIVE_NAN = float_from_bits(0xFFF8_0000_0000_0001)
SIGNALLING_NAN = float_from_bits(0x7FF0_0000_0000_0001)

INTEGERS = [0, 1, -1, 255, -256, 2**31, -(2**31) - 1, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
BIG_INTEGERS = [
    2**63,
    -(2**63) - 1,
    2**64 - 1,
    2**64,
    -(2**64),
    10**100,
    -(10**1000),
    2**4096 - 1,
    -(2**4096),
]
FLOATS = [0.0, -0.0, 1.5, -2.25, math.pi, 5e-324, 2.2e-308, 1.7976931348623157e308, math.inf, -math.inf]
NANS = [math.nan, QUIET_NAN_WITH_PAYLOAD, NEGATIVE_NAN, SIGNALLING_NAN]
STRINGS = [
    "",
    "a",
    "ascii text",
    "naïve",
    "€",
    "日本語",
    "\U0001f40d",
    "\x00",
    "a\x00b",
    "x" * 10_000,
    "\U0010ffff" * 999,
]
BYTE_STRINGS = [b"", b"\x00", b"abcdefg", b"abcdefgh", b"abcdefghi", bytes(range(256)) * 40]
CONTAINERS = [
    [],
    (),
    {},
    [[]],
    [()],
    ([],),
    ((),),
    ({},),
    [{}, [], (), {"a": {}}],
    {"a": {"b": {"c": [1, (2, [3, {"d": (4,)}])]}}},
    (1, (2, (3, (4, ())))),
    (1, [2, (3, [4])], "five", None),
    [None, True, False, 0, 1, 0.0, 1.0, "", b""],
    list(range(1000)),
    {f"key {i}": float(i) for i in range(1000)},
]


@pytest.mark.parametrize(
    "value", [None, True, False, *INTEGERS, *BIG_INTEGERS, *FLOATS, *NANS], ids=lambda value: repr(value)[:30]
)
def test_numbers_come_back_bit_for_bit(channel_name: str, value: Any) -> None:
    assert_identical(round_trip(channel_name, value), value)


@pytest.mark.parametrize("value", [*STRINGS, *BYTE_STRINGS], ids=lambda value: ascii(value)[:30])
def test_strings_and_bytes_come_back(channel_name: str, value: Any) -> None:
    assert_identical(round_trip(channel_name, value), value)


@pytest.mark.parametrize("value", CONTAINERS, ids=lambda value: repr(value)[:30])
def test_containers_come_back(channel_name: str, value: Any) -> None:
    assert_identical(round_trip(channel_name, value), value)


def test_all_types_at_once_come_back_through_known_and_changed_shapes(channel_name: str) -> None:
    """The second publish meets a known shape, the third a changed one."""
    first = info(
        numbers=[*INTEGERS, *FLOATS, *NANS], big=BIG_INTEGERS, text=[*STRINGS, *BYTE_STRINGS], rest=CONTAINERS
    )
    second = info(
        numbers=[*reversed(INTEGERS), *reversed(FLOATS), *reversed(NANS)],
        big=BIG_INTEGERS[::-1],
        text=[*reversed(STRINGS), *reversed(BYTE_STRINGS)],
        rest=CONTAINERS,
    )
    third = info(numbers=[], big=0, text=None, rest=CONTAINERS[::-1])
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(first)
        with traincast.TrainingInfoReader(channel_name) as reader:
            assert_identical(reader.read(), first)
            for snapshot in (second, third, first, first, second):
                writer.publish(snapshot)
                assert_identical(reader.read(), snapshot)


INTEGER_KEYS = [0, 1, -1, 7, 2**31, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**40, -(10**40)]


def test_int_keys_come_back_as_ints(channel_name: str) -> None:
    value = {key: f"value of {key}" for key in INTEGER_KEYS}
    assert_identical(round_trip(channel_name, value), value)


def test_int_and_str_keys_of_the_same_text_stay_apart(channel_name: str) -> None:
    value = {1: "int", "1": "str", -1: "negative", "-1": "negative str", "": "empty", 2**70: 1, str(2**70): 2}
    assert_identical(round_trip(channel_name, value), value)


def test_the_root_may_have_int_keys(channel_name: str) -> None:
    snapshot = {0: "policy 0", STEPS: 1, -5: "x", 2**80: "big"}
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot)
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), snapshot)


def test_the_order_of_keys_is_kept(channel_name: str) -> None:
    """Kept, and a new order alone is a new shape."""
    orders = [["z", "a", "m"], ["a", "m", "z"], ["z", "a", "m"], ["m", "z", "a"]]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        reader = None
        for order in orders:
            snapshot = {**dict.fromkeys(order, 1), STEPS: 0}
            writer.publish(snapshot)
            reader = reader or traincast.TrainingInfoReader(channel_name)
            assert_identical(reader.read(), snapshot)


def test_a_dictionary_after_deletions_and_an_insertion_comes_back(channel_name: str) -> None:
    """A dictionary with holes in its table."""
    snapshot = info(**{f"k{i}": i for i in range(20)})
    for i in range(0, 20, 3):
        del snapshot[f"k{i}"]
    snapshot["k0"] = "again"
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(snapshot)
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), snapshot)


class Flag(int):
    def __int__(self) -> int:
        raise AssertionError("the value is asked of int itself")

    __index__ = __int__


class Metres(float):
    def __float__(self) -> float:
        raise AssertionError("the value is asked of float itself")


class Label(str):
    def __str__(self) -> str:
        raise AssertionError("the value is asked of str itself")


class Blob(bytes):
    pass


class Items(list):
    pass


class Level(enum.IntEnum):
    EASY = 1
    HARD = 2**70


class Mood(enum.StrEnum):
    GOOD = "good"


class Settings(dict):
    pass


class Lazy(Mapping):
    """A mapping that computes its values."""

    def __getitem__(self, key: str) -> int:
        return len(key)

    def __iter__(self) -> Iterator[str]:
        return iter(["one", "three"])

    def __len__(self) -> int:
        return 2


Point = namedtuple("Point", "x y")
moved = OrderedDict(a=1, b=2, c=3)
moved.move_to_end("a")

BECOMES = {
    "int subclass": (Flag(7), 7),
    "big int subclass": (Flag(2**80), 2**80),
    "IntEnum": (Level.EASY, 1),
    "big IntEnum": (Level.HARD, 2**70),
    "StrEnum": (Mood.GOOD, "good"),
    "float subclass": (Metres(-0.0), -0.0),
    "str subclass": (Label("grüße"), "grüße"),
    "bytes subclass": (Blob(b"\x00\x01"), b"\x00\x01"),
    "list subclass": (Items([1, [2]]), [1, [2]]),
    "dict subclass": (Settings(b=1, a=Settings()), {"b": 1, "a": {}}),
    "OrderedDict": (moved, {"b": 2, "c": 3, "a": 1}),
    "defaultdict": (defaultdict(list, x=[1]), {"x": [1]}),
    "Counter": (Counter("abca"), {"a": 2, "b": 1, "c": 1}),
    "mappingproxy": (MappingProxyType({"b": 1, "a": (2,)}), {"b": 1, "a": (2,)}),
    "UserDict": (UserDict(z=1, y=UserDict()), {"z": 1, "y": {}}),
    "Mapping": (Lazy(), {"one": 3, "three": 5}),
    "namedtuple": (Point(1, Point(2.5, ())), (1, (2.5, ()))),
    "struct_time": (tuple.__new__(Point, (3, 4)), (3, 4)),
    "deque": (deque([1, deque(), (2,)]), [1, [], (2,)]),
    "bounded deque": (deque(range(9), maxlen=3), [6, 7, 8]),
    "subclasses as keys": ({Label("a"): 1, Flag(3): 2, Level.HARD: 3}, {"a": 1, 3: 2, 2**70: 3}),
}


@pytest.mark.parametrize(("value", "expected"), BECOMES.values(), ids=BECOMES)
def test_values_of_related_types_become_builtins(channel_name: str, value: Any, expected: Any) -> None:
    assert_identical(round_trip(channel_name, value), expected)


@pytest.mark.parametrize(
    "kind", [OrderedDict, UserDict, MappingProxyType, Settings], ids=lambda kind: kind.__name__
)
def test_the_root_may_be_any_mapping(channel_name: str, kind: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(kind({"b": 1, STEPS: 2, "a": 3}))
        reader = traincast.TrainingInfoReader(channel_name)
        assert_identical(reader.read(), {"b": 1, STEPS: 2, "a": 3})


def test_a_subclass_shares_the_shape_of_its_builtin(channel_name: str) -> None:
    """Both have the same shape; a reader sees no difference."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for value in (1, Flag(2), Level.EASY, 3):
            writer.publish(info(value=value))
            assert_identical(traincast.TrainingInfoReader(channel_name)["value"], int.__int__(value))
