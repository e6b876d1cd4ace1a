"""A structure that is known, and then one that differs in a single place, wherever that is."""

from __future__ import annotations

import copy
from collections import UserDict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshots import STEPS, assert_identical
from strategies import examples

import traincast

channels = count()
numbers = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats())
others = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.integers(2**63, 2**70),
    st.lists(numbers, max_size=3),
    st.lists(numbers, max_size=3).map(tuple),
)
names = st.text("abcdé", max_size=2)
trees = st.recursive(
    st.dictionaries(names, st.one_of(numbers, numbers, numbers, others), max_size=5),
    lambda children: st.dictionaries(names, st.one_of(children, numbers, numbers, others), max_size=5),
    max_leaves=8,
)


def dictionaries(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for value in tree.values():
        if isinstance(value, dict):
            yield from dictionaries(value)


def replace(place: dict[str, Any], key: str | None, value: Any) -> None:
    if key is not None:
        place[key] = value


def rename(place: dict[str, Any], key: str | None, _: Any) -> None:
    entries = [("another" if name == key else name, value) for name, value in place.items()]
    place.clear()
    place.update(entries)


def remove(place: dict[str, Any], key: str | None, _: Any) -> None:
    place.pop(key, None)


def add(place: dict[str, Any], _: str | None, value: Any) -> None:
    place["added"] = value


def move_to_the_end(place: dict[str, Any], key: str | None, _: Any) -> None:
    if key is not None:
        place[key] = place.pop(key)


def make_keys_anew(place: dict[str, Any], _: str | None, __: Any) -> None:
    entries = [(bytes(name, "utf-8").decode(), value) for name, value in place.items()]
    place.clear()
    place.update(entries)


CHANGES: tuple[Callable[[dict[str, Any], str | None, Any], None], ...] = (
    replace,
    rename,
    remove,
    add,
    move_to_the_end,
    make_keys_anew,
)


def nested(value: Any) -> dict[str, Any]:
    """Numbers before and behind, on each level."""
    return {STEPS: 1, "a": {"b": 1.5, "c": {"d": 2, "e": value, "f": True}, "g": 3}, "h": 4.5}


@pytest.mark.parametrize("value", [None, "text", [1, 2], (1.0,), {"x": 1}, {}, 2**80, b"bytes"], ids=repr)
def test_other_values_between_numbers_come_back(channel_name: str, value: Any) -> None:
    """Other values between numbers, deep inside, in known and in new structures."""
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for info in [nested(1.0)] * 3 + [nested(value)] * 4 + [nested(2.0)] * 2:
            writer.publish(info)
            with traincast.TrainingInfoReader(channel_name) as reader:
                assert_identical(reader.read(), info)


@examples(300)
@given(tree=trees, data=st.data())
def test_a_known_structure_with_any_one_change_comes_back(
    channel_name: str, tree: dict[str, Any], data: st.DataObject
) -> None:
    name = f"{channel_name}-{next(channels)}"
    with traincast.TrainingInfoWriter(name) as writer:
        for _ in range(3):  # a structure is known once it was met again
            writer.publish({STEPS: 0, **tree})
        reader = traincast.TrainingInfoReader(name)
        for _ in range(3):
            changed = copy.deepcopy({STEPS: 0, **tree})
            place = data.draw(st.sampled_from(list(dictionaries(changed))))
            key = data.draw(st.sampled_from([name for name in place if name != STEPS] or [None]))
            data.draw(st.sampled_from(CHANGES))(place, key, data.draw(st.one_of(numbers, others, trees)))
            changed[STEPS] = 1
            for info in (changed, changed, {STEPS: 2, **tree}):
                writer.publish(info)
                assert_identical(reader.read(), info)
        reader.close()


def test_an_error_deep_inside_names_its_path(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for _ in range(3):
            writer.publish(nested(1.0))
        with pytest.raises(traincast.UnsupportedTypeError, match=r'info\["a"\]\["c"\]\["e"\]: set'):
            writer.publish(nested({1}))
        with pytest.raises(
            traincast.InvalidSnapshotError, match=r'info\["a"\]\["c"\]\["e"\]: it holds a lone'
        ):
            writer.publish(nested("\udc00"))
        assert writer.version == 3
        writer.publish(nested(5.0))
        assert traincast.TrainingInfoReader(channel_name).read() == nested(5.0)


def test_a_cycle_through_a_known_structure_is_refused(channel_name: str) -> None:
    cycle: dict[str, Any] = {"b": 1.5, "c": {"d": 2, "e": 1.0, "f": True}, "g": 3}
    info = {STEPS: 1, "a": cycle, "h": 4.5}
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for _ in range(3):
            writer.publish(info)
        cycle["c"] = cycle
        with pytest.raises(traincast.InvalidSnapshotError, match="it contains itself"):
            writer.publish(info)
        assert writer.version == 3


@pytest.mark.parametrize("value", [{}, {"k": 1}], ids=repr)
def test_a_known_structure_that_gets_too_deep_is_refused(channel_name: str, value: dict[str, int]) -> None:
    """The deepest level is refused whether or not it has entries, and with all above it known."""

    def deep(inner: Any) -> dict[str, Any]:
        for _ in range(64):
            inner = {"k": inner}
        return {STEPS: 1, **inner}

    with traincast.TrainingInfoWriter(channel_name) as writer:
        for _ in range(3):
            writer.publish(deep(1))
        with pytest.raises(traincast.InvalidSnapshotError, match="nested deeper than 64"):
            writer.publish(deep(value))
        assert traincast.TrainingInfoReader(channel_name).read() == deep(1)


def test_code_of_a_value_may_change_what_is_published(channel_name: str) -> None:
    """A mapping of its own mind takes an entry from the dictionary around it, in the middle of it all."""

    class Thief(UserDict[str, Any]):
        victim: dict[str, Any]

        def items(self) -> Any:
            self.victim.pop("f", None)
            return super().items()

    with traincast.TrainingInfoWriter(channel_name) as writer:
        for _ in range(3):
            writer.publish(nested({"x": 1}))
        thief = Thief({"x": 1})
        info = nested(thief)
        thief.victim = info["a"]["c"]
        with pytest.raises(RuntimeError, match="changed its size"):
            writer.publish(info)
        assert traincast.TrainingInfoReader(channel_name).read() == nested({"x": 1})
