"""Objects that are published as another: enums, dataclasses, buffers, sequences, mappings, keys."""

from __future__ import annotations

import array
import collections
import dataclasses
import enum
import types
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import omegaconf
import pytest
from snapshots import STEPS, assert_identical, info, round_trip

import traincast


class Phase(enum.Enum):
    EASY = "easy"
    HARD = 2
    BOTH = ("easy", [2, None])
    NESTED = {"inner": EASY}  # noqa: RUF012  # a value like another
    NONE = None


class Other(enum.Enum):
    OF_ANOTHER = Phase.HARD


class Parts(enum.Flag):
    LEGS = 1
    ARMS = 2


class Bits(enum.IntFlag):
    LOW = 1
    HIGH = 1 << 70


class Level(enum.IntEnum):
    EASY = 1


class Mood(enum.StrEnum):
    GOOD = "good"


class Mixed(str, enum.Enum):  # noqa: UP042  # what older code does
    A = "a"


class Scaled(float, enum.Enum):
    HALF = 0.5


class Renamed(int, enum.Enum):
    """Its value is not the int that it is."""

    ONE = 1

    def __new__(cls, number: int) -> Renamed:
        made = int.__new__(cls, number * 100)
        made._value_ = f"number {number}"
        return made


ENUMS = {
    "str": (Phase.EASY, "easy"),
    "int": (Phase.HARD, 2),
    "containers": (Phase.BOTH, ("easy", [2, None])),
    "dict": (Phase.NESTED, {"inner": "easy"}),
    "None": (Phase.NONE, None),
    "of another enum": (Other.OF_ANOTHER, 2),
    "Flag": (Parts.LEGS | Parts.ARMS, 3),
    "empty Flag": (Parts(0), 0),
    "IntFlag": (Bits.LOW | Bits.HIGH, 1 + (1 << 70)),
    "IntEnum": (Level.EASY, 1),
    "StrEnum": (Mood.GOOD, "good"),
    "str mixin": (Mixed.A, "a"),
    "float mixin": (Scaled.HALF, 0.5),
    "a value of its own": (Renamed.ONE, "number 1"),
    "in a list": ([Phase.EASY, (Phase.HARD,)], ["easy", (2,)]),
    "key": ({Phase.EASY: 1, Phase.HARD: 2, Level.EASY: 3, Mood.GOOD: 4}, {"easy": 1, 2: 2, 1: 3, "good": 4}),
}


@pytest.mark.parametrize(("value", "expected"), ENUMS.values(), ids=ENUMS)
def test_an_enum_member_is_its_value(channel_name: str, value: Any, expected: Any) -> None:
    assert_identical(round_trip(channel_name, value), expected)


@dataclasses.dataclass
class Range:
    low: float = 0.0
    high: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    range: Range = dataclasses.field(default_factory=Range)


@dataclasses.dataclass
class Task(Range):
    phase: Phase = Phase.EASY
    tables: list[Any] = dataclasses.field(default_factory=list)
    hidden: int = dataclasses.field(default=5, repr=False, compare=False)
    shared: ClassVar[int] = 1
    setup: dataclasses.InitVar[int] = 0

    def __post_init__(self, setup: int) -> None:
        self.not_a_field = setup


RANGE = {"low": 0.0, "high": 1.0}
DATACLASSES = {
    "plain": (Range(2, 3.5), {"low": 2, "high": 3.5}),
    "frozen, slots, nested": (Frozen("a"), {"name": "a", "range": RANGE}),
    "subclass": (
        Task(tables=[Range(), {"x": (Frozen("b"),)}]),
        {
            **RANGE,
            "phase": "easy",
            "tables": [RANGE, {"x": ({"name": "b", "range": RANGE},)}],
            "hidden": 5,
        },
    ),
    "in containers": ([Range(), (Range(),), {"k": Range()}], [RANGE, (RANGE,), {"k": RANGE}]),
    "without fields": (dataclasses.make_dataclass("Empty", [])(), {}),
    "with arrays": (Range(np.arange(3), np.float32(1)), {"low": np.arange(3), "high": np.float32(1)}),
}


@pytest.mark.parametrize(("value", "expected"), DATACLASSES.values(), ids=DATACLASSES)
def test_a_dataclass_instance_is_a_dict_of_its_fields(channel_name: str, value: Any, expected: Any) -> None:
    assert_identical(round_trip(channel_name, value), expected)


def test_a_dataclass_itself_is_refused(channel_name: str) -> None:
    with (
        traincast.TrainingInfoWriter(channel_name) as writer,
        pytest.raises(traincast.UnsupportedTypeError, match=r'^info\["a"\]: type is not supported'),
    ):
        writer.publish(info(a=Range))


Snapshot = dataclasses.make_dataclass("Snapshot", [(STEPS, int), ("range", Range)])


def test_a_dataclass_instance_is_published_as_a_whole(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for steps in range(3):
            writer.publish(Snapshot(steps, Range()))
            read = traincast.TrainingInfoReader(channel_name).read()
            assert_identical(read, {STEPS: steps, "range": RANGE})
        with pytest.raises(traincast.MissingKeyError, match=STEPS):
            writer.publish(Range())
        writer.load_state_dict({**writer.state_dict(), "training_info": Snapshot(9, Range())})
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), {STEPS: 9, "range": RANGE})


def test_a_dataclass_in_itself_is_a_cycle(channel_name: str) -> None:
    knot = Range()
    knot.low = [knot]  # type: ignore[assignment]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        with pytest.raises(
            traincast.InvalidSnapshotError, match="it contains itself; a snapshot must be a tree"
        ):
            writer.publish(info(a=knot))


def test_a_field_without_a_value_says_where(channel_name: str) -> None:
    half = object.__new__(Frozen)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(AttributeError) as raised:
            writer.publish(info(a=[half]))
        assert raised.value.__notes__ == ['while publishing info["a"][0]']


BUFFERS = {
    "bytearray": (bytearray(b"ab\0"), b"ab\0"),
    "bytearray subclass": (type("Sub", (bytearray,), {"__bytes__": None})(b"x"), b"x"),
    "memoryview": (memoryview(b"abcdef")[1:4], b"bcd"),
    "memoryview that steps": (memoryview(b"abcdef")[::-2], b"fdb"),
    "memoryview of numbers": (memoryview(array.array("h", [1, 2])), array.array("h", [1, 2]).tobytes()),
    "empty": (bytearray(), b""),
}


@pytest.mark.parametrize(("value", "expected"), BUFFERS.values(), ids=BUFFERS)
def test_a_buffer_is_bytes(channel_name: str, value: Any, expected: bytes) -> None:
    assert_identical(round_trip(channel_name, value), expected)


def test_a_buffer_may_be_changed_afterwards(channel_name: str) -> None:
    buffer = bytearray(b"before")
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=buffer))
        buffer[:] = b"after it"
        assert traincast.TrainingInfoReader(channel_name)["a"] == b"before"


class Squares(Sequence[int]):
    """Computes its items."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: Any) -> int:
        if index >= 4:
            raise IndexError
        return int(index**2)


SEQUENCES = {
    "deque": (collections.deque([1, collections.deque([2.5])]), [1, [2.5]]),
    "range": (range(5, 0, -2), [5, 3, 1]),
    "empty range": (range(0), []),
    "UserList": (collections.UserList([1, collections.UserList()]), [1, []]),
    "UserString": (collections.UserString("text"), "text"),
    "array of floats": (array.array("d", [0.5, -0.0]), [0.5, -0.0]),
    "array of ints": (array.array("Q", [2**64 - 1]), [2**64 - 1]),
    "computed": (Squares(), [0, 1, 4, 9]),
    "ListConfig": (omegaconf.OmegaConf.create([1, [2], {"a": "${oc.env:HOME,x}"}]), None),
}


@pytest.mark.parametrize(("value", "expected"), SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_is_a_list(channel_name: str, value: Any, expected: Any) -> None:
    expected = omegaconf.OmegaConf.to_container(value, resolve=True) if expected is None else expected
    assert_identical(round_trip(channel_name, value), expected)


@pytest.mark.parametrize("length", [2**24 + 1, 2**40, 2**80])
def test_a_sequence_without_end_is_refused_before_it_is_a_list(channel_name: str, length: int) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        sentence = r'^info\["a"\]: a range of more than 16,777,216 items is not supported; use a numpy array$'
        with pytest.raises(traincast.UnsupportedTypeError, match=sentence):
            writer.publish(info(a=range(length)))


def test_configurations_of_omegaconf(channel_name: str) -> None:
    config = omegaconf.OmegaConf.create(
        {"lr": 1e-3, "sizes": [1, 2], "env": {"name": "ant", "copy": "${lr}", "nothing": None}, 7: "int key"}
    )
    expected = {
        "lr": 1e-3,
        "sizes": [1, 2],
        "env": {"name": "ant", "copy": 1e-3, "nothing": None},
        7: "int key",
    }
    assert_identical(round_trip(channel_name, config), expected)
    structured = omegaconf.OmegaConf.structured(Task)
    expected = {**RANGE, "phase": "easy", "tables": [], "hidden": 5}
    assert_identical(round_trip(f"{channel_name}-2", structured), expected)
    with traincast.TrainingInfoWriter(f"{channel_name}-3") as writer:
        writer.publish(omegaconf.OmegaConf.create({STEPS: 3}))
        assert traincast.TrainingInfoReader(f"{channel_name}-3").read() == {STEPS: 3}
        with pytest.raises(omegaconf.errors.MissingMandatoryValue) as raised:
            writer.publish(info(a=omegaconf.OmegaConf.create({"b": "???"})))
        assert raised.value.__notes__ == ['while publishing info["a"]']


MAPPINGS = {
    "proxy": types.MappingProxyType({"b": 1, "a": (2,)}),
    "ChainMap": collections.ChainMap({"b": 1}, {"a": (2,), "b": 0}),
    "UserDict": collections.UserDict(b=1, a=(2,)),
}


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS)
def test_a_mapping_is_a_dict(channel_name: str, mapping: Any) -> None:
    assert_identical(round_trip(channel_name, mapping), dict(mapping))


class Key(str):
    __slots__ = ()


class Number(int):
    def __int__(self) -> int:
        raise AssertionError("the value is asked of int itself")

    __index__ = __int__


KEYS = {
    **{f"numpy {code}": (np.dtype(code).type(3), 3) for code in "bBhHiIlLqQ"},
    "the largest of numpy's": (np.uint64(2**64 - 1), 2**64 - 1),
    "numpy str": (np.str_("a"), "a"),
    "str subclass": (Key("a"), "a"),
    "int subclass": (Number(2**80), 2**80),
    "enum": (Phase.EASY, "easy"),
    "IntEnum": (Level.EASY, 1),
    "enum of an enum's": (Renamed.ONE, "number 1"),
}


@pytest.mark.parametrize(("key", "expected"), KEYS.values(), ids=KEYS)
def test_a_key_becomes_a_str_or_an_int(channel_name: str, key: Any, expected: Any) -> None:
    assert_identical(round_trip(channel_name, {key: 1, "z": 2}), {expected: 1, "z": 2})
    assert_identical(round_trip(f"{channel_name}-2", {"z": 2, expected: 1}), {"z": 2, expected: 1})


def test_a_known_structure_takes_equal_keys_of_other_types(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for value, (key, name) in enumerate(
            [(1, "easy"), (np.int8(1), Phase.EASY), (Level.EASY, Key("easy"))]
        ):
            for _ in range(3):
                writer.publish({STEPS: value, key: value, name: {key: value}})
                read = traincast.TrainingInfoReader(channel_name).read()
                assert_identical(read, {STEPS: value, 1: value, "easy": {1: value}})


class Nothing(enum.Enum):
    TUPLE = (1, 2)
    TRUE = True
    FLOAT = 1.5


@pytest.mark.parametrize(
    "key",
    [
        np.bool_(True),
        np.float64(1.5),
        np.timedelta64(1, "s"),
        np.datetime64(1, "s"),
        np.bytes_(b"a"),
        *Nothing,
    ],
    ids=repr,
)
def test_a_key_that_is_no_str_or_int_is_refused(channel_name: str, key: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.UnsupportedTypeError, match=r"a key of type .* use str or int keys$"):
            writer.publish(info(a={key: 1}))
        with pytest.raises(traincast.UnsupportedTypeError, match=r"a key of type .* use str or int keys$"):
            writer.publish({**info(), key: 1})


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ((Phase.EASY, "easy"), '"easy"'),
        ((2, Phase.HARD), "2"),
        ((Phase.HARD, Other.OF_ANOTHER), "2"),
        ((1, Renamed.ONE, "number 1"), '"number 1"'),
    ],
)
def test_keys_that_become_equal_are_refused(channel_name: str, keys: tuple[Any, ...], shown: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a={}))
        for snapshot, path in ((info(a=dict.fromkeys(keys)), 'info["a"]'), (dict.fromkeys(keys), "info")):
            with pytest.raises(traincast.InvalidSnapshotError) as raised:
                writer.publish(snapshot)
            assert str(raised.value) == f"{path}: the key {shown} occurs twice"
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a={}))


class Replaced(enum.Enum):
    """Its value is itself, endlessly."""

    ONE = 1

    @property
    def value(self) -> Any:
        return self


def test_what_is_replaced_without_end_is_refused(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.UnsupportedTypeError, match=r'^info\["a"\]: another object stands in'):
            writer.publish(info(a=Replaced.ONE))
        with pytest.raises(traincast.UnsupportedTypeError, match=r"a key of type .* is not supported"):
            writer.publish(info(a={Replaced.ONE: 1}))


def test_a_new_member_of_a_known_structure(channel_name: str) -> None:
    """Numbers and enums take turns in one place."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        reader = None
        for value in (1, Phase.HARD, 3, Level.EASY, Phase.EASY, "x", range(2), [5, 6]):
            writer.publish(info(a=value, b=[value]))
            reader = reader or traincast.TrainingInfoReader(channel_name)
            expected = value.value if isinstance(value, enum.Enum) else value
            expected = list(expected) if isinstance(expected, range) else expected
            assert_identical(reader.read(), info(a=expected, b=[expected]))
            writer.update(a=value)
            assert_identical(reader.read(), info(a=expected, b=[expected]))
