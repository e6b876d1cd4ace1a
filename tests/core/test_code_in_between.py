"""Python code of others that runs in the middle of a call, and comes back to the same objects.

Each place where a call can run such code is met with each thing that the code may do there. It works or
gets a clear error, and afterwards everything is usable and holds what was published.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from meddling import ACTS, Act, Channel, items
from snapshots import STEPS, info

import traincast


class Settings(Mapping[str, int]):
    """Acts when it is asked for its entries."""

    def __init__(self, act: Act, when: str) -> None:
        self.act, self.when = act, when

    def _asked(self, what: str) -> None:
        if what == self.when:
            self.act()

    def __getitem__(self, key: str) -> int:
        self._asked("__getitem__")
        return 3

    def __iter__(self) -> Iterator[str]:
        self._asked("__iter__")
        yield "x"

    def __len__(self) -> int:
        self._asked("__len__")
        return 1


class ClassProperty:
    """Says what it is by code of its own, and cannot be published."""

    def __init__(self, act: Act) -> None:
        self.act = act

    @property
    def __class__(self) -> type:  # type: ignore[override]  # what mocks do
        self.act()
        return object


class Asked(np.ndarray[Any, Any]):
    """Acts when it is asked for its size."""

    act: Act

    @property
    def nbytes(self) -> int:
        self.act()
        return super().nbytes


class Tag(str):
    """Equal to nothing but itself."""

    act: Act

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __eq__(self, other: object) -> bool:
        self.act()
        return self is other


def array(act: Act) -> Any:
    made = np.arange(6.0).reshape(2, 3).T.view(Asked)
    made.act = act
    return made


class Lends:
    """The memory of an array, which acts when it is released."""

    def __init__(self, act: Act) -> None:
        self.act, self.memory = act, np.arange(6.0)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.memory.__array_interface__

    def __del__(self) -> None:
        self.act()


class Exports:
    """A buffer, which acts when it is released; from Python 3.12 on."""

    def __init__(self, act: Act) -> None:
        self.act, self.memory = act, np.arange(6.0)

    def __buffer__(self, _: int) -> memoryview:
        return memoryview(self.memory)

    def __release_buffer__(self, _: memoryview) -> None:
        self.act()


class Made(Mapping[str, Any]):
    """Makes its value when it is asked for it, and keeps no reference."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __getitem__(self, key: str) -> Any:
        return self.make()

    def __iter__(self) -> Iterator[str]:
        yield "x"

    def __len__(self) -> int:
        return 1


class Listed(Sequence[int]):
    """Acts when it is asked for an item."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: Any) -> int:
        self.act()
        return [3][index]


@dataclasses.dataclass
class Fields:
    """Acts when it is asked for a field."""

    x: int = 3

    def __getattribute__(self, name: str) -> Any:
        if name == "x" and (act := object.__getattribute__(self, "__dict__").get("act")) is not None:
            act()
        return object.__getattribute__(self, name)


def fields(act: Act) -> Any:
    made = Fields()
    made.act = act  # type: ignore[attr-defined]
    return made


class Member(enum.Enum):
    """Acts when it is asked for its value."""

    ONE = 3
    act: Any

    @property
    def value(self) -> Any:
        type(self).act()
        return 3


def member(act: Act) -> Any:
    Member.act = staticmethod(act)
    return [Member.ONE, {Member.ONE: 1}]


class Lent:
    """Acts when it is asked to lend its memory."""

    def __init__(self, act: Act) -> None:
        self.act = act

    def __dlpack__(self, **options: Any) -> Any:
        self.act()
        return np.arange(3.0).__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return 1, 0


# What is published, and what comes back; None if it is refused.
VALUES: dict[str, tuple[Callable[[Act], Any], Any]] = {
    "items of a dict": (items, {"x": 3}),
    "__iter__ of a mapping": (lambda act: Settings(act, "__iter__"), {"x": 3}),
    "__getitem__ of a mapping": (lambda act: Settings(act, "__getitem__"), {"x": 3}),
    "__class__": (ClassProperty, None),
    "property of an array": (array, np.arange(6.0).reshape(2, 3).T),
    "item of a sequence": (Listed, [3]),
    "field of a dataclass": (fields, {"x": 3}),
    "value of an enum": (member, [3, {3: 1}]),
    "memory by DLPack": (Lent, np.arange(3.0)),
    "in a list": (lambda act: [1, {"y": items(act)}, 2.5], [1, {"y": {"x": 3}}, 2.5]),
    "a mapping that is refused": (lambda act: [items(act), object()], None),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("call", ["publish", "update", "load_state_dict"])
def test_code_of_a_value(channel_name: str, call: str, value: str, act: str) -> None:
    channel = Channel(channel_name)
    writer, done = channel.writer, []
    make, expected = VALUES[value]

    def once() -> None:
        if not done:
            done.append(act)
            with contextlib.suppress(traincast.UnsupportedTypeError):
                channel.acts()[act]()

    made = make(once)
    before = writer.version
    inner = {"publish": 1, "update": 1, "update a number": 1, "load_state_dict": 1}.get(act, 0)
    try:
        if call == "publish":
            assert writer.publish(info(a=2, v=made)) == before + inner + 1
        elif call == "update":
            assert writer.update(v=made) == before + inner + 1
        else:
            writer.load_state_dict({**channel.state, "training_info": info(a=2, v=made)})
    except traincast.ChannelClosedError:
        assert act == "close the writer"
    except traincast.UnsupportedTypeError:
        assert expected is None
    else:
        assert expected is not None
        assert act != "close the writer"
        assert writer.version == before + inner + 1
        found = writer.state_dict()["training_info"]
        np.testing.assert_equal(found.pop("v"), expected)
        if call == "update":
            # What the code in between has published is what was updated.
            a = {"publish": 5, "update a number": 7}.get(act, 1)
            more = {"inner": [1]} if act in ("publish", "update") else {}
            assert found == info(a=a, kept="text", **more)
        else:
            assert found == info(a=2)
    assert done
    channel.check()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("memory", ["lent", "exported"])
def test_code_of_memory_that_is_released(channel_name: str, memory: str, act: str) -> None:
    """The publish holds the last reference to an array's memory, and drops it once the snapshot is stored."""
    if memory == "exported" and sys.version_info < (3, 12):
        pytest.skip("classes export buffers from Python 3.12 on")
    channel = Channel(channel_name)
    writer, done = channel.writer, []

    def once() -> None:
        if not done:
            done.append(writer.version)
            with contextlib.suppress(traincast.UnsupportedTypeError):
                channel.acts()[act]()

    def make() -> Any:
        return np.asarray(Lends(once)) if memory == "lent" else np.frombuffer(Exports(once))

    before = writer.version
    assert writer.publish(info(a=2, v=Made(make))) == before + 1
    assert done == [before + 1]
    channel.check()


@pytest.mark.parametrize("call", ["publish", "update"])
def test_what_could_be_made_an_array_is_not_asked_for_one(channel_name: str, call: str) -> None:
    class Convertible:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("it was asked")

        __array_interface__ = __array_struct__ = property(__array__)

    class Subclass(np.ndarray[Any, Any]):
        __array__ = Convertible.__array__  # type: ignore[assignment]

    channel = Channel(channel_name)
    with pytest.raises(traincast.UnsupportedTypeError):
        getattr(channel.writer, call)(
            **{"v": Convertible()} if call == "update" else {"info": info(v=Convertible())}
        )
    kept = np.arange(6.0).reshape(2, 3)
    channel.writer.publish(info(v=kept.view(Subclass)))
    np.testing.assert_equal(channel.reader["v"], kept)
    channel.check()


@pytest.mark.parametrize("act", ACTS)
def test_code_of_a_key(channel_name: str, act: str) -> None:
    """Keys that compare by code of their own, in the dictionary and among the changes of an update."""
    channel = Channel(channel_name)

    def quietly() -> None:
        with contextlib.suppress(traincast.TraincastError):
            channel.acts()[act]()

    Tag.act = staticmethod(quietly)  # type: ignore[assignment]  # no method
    with contextlib.suppress(traincast.ChannelClosedError):
        channel.writer.publish({Tag(STEPS): 1, STEPS + "2": 2, "b": {Tag("x"): 1, Tag("y"): 2}})
    with contextlib.suppress(traincast.ChannelClosedError):
        channel.writer.update(**{Tag("b"): 2})
    with contextlib.suppress(traincast.ChannelClosedError):
        assert Tag("q") not in channel.reader.read()
    channel.check()


class Index:
    def __init__(self, value: int, act: Act) -> None:
        self.value, self.act = value, act

    def __index__(self) -> int:
        self.act()
        return self.value


@pytest.mark.parametrize("act", ACTS)
def test_code_of_a_state(channel_name: str, act: str) -> None:
    channel = Channel(channel_name)

    def quietly() -> None:
        with contextlib.suppress(traincast.TraincastError):
            channel.acts()[act]()

    state = {**channel.state, "version": Index(50, quietly), "training_info": info(a=9)}
    with contextlib.suppress(traincast.ChannelClosedError):
        channel.writer.load_state_dict(state)
        assert channel.writer.state_dict()["training_info"] == info(a=9)
    channel.check()


def test_versions_follow_the_order_of_the_stores(channel_name: str) -> None:
    channel = Channel(channel_name)
    versions = []
    made = items(lambda: versions.append(channel.writer.publish(info(a="inner"))))
    versions.append(channel.writer.publish(info(a=made)))
    assert versions == [3, 4]
    assert channel.reader.read() == info(a={"x": 3})


def test_shape_ids_are_unique_among_nested_publishes(channel_name: str) -> None:
    """A reader that knows a shape by its id never confuses two shapes."""
    channel = Channel(channel_name)
    for turn in range(200):
        inner, nested = {STEPS: turn, f"inner {turn % 7}": turn}, []

        def act(inner: Any = inner, nested: Any = nested) -> None:
            channel.writer.publish(inner)
            nested.append(channel.reader.read())

        outer = {STEPS: turn, f"outer {turn % 5}": items(act)}
        channel.writer.publish(outer)
        assert nested == [inner]
        assert channel.reader.read() == {STEPS: turn, f"outer {turn % 5}": {"x": 3}}
