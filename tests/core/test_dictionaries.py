"""Dictionaries made in every way: their internals differ, and what readers get does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from snapshots import STEPS, assert_identical

import traincast

SIZES = [1, 5, 6, 10, 11, 170, 171, 255, 256, 257, 1000, 70_000]


def keys(count: int) -> list[str]:
    return [f"key {index}" for index in range(count)]


def grown(count: int, value: float) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for index, key in enumerate(keys(count)):
        made[key] = value + index
    return made


def with_hole(count: int, value: float) -> dict[Any, Any]:
    made = {"gone": None, **grown(count, value), "gone too": None}
    del made["gone"], made["gone too"]
    return made


def put_back(count: int, value: float) -> dict[Any, Any]:
    made = grown(count, value)
    made["key 0"] = made.pop("key 0")
    return made


def popped(count: int, value: float) -> dict[Any, Any]:
    made = {**grown(count, value), "last": None}
    made.popitem()
    return made


def refilled(count: int, value: float) -> dict[Any, Any]:
    made = grown(count, value)
    made.clear()
    made.update(grown(count, value + 1))
    return made


def attributes(count: int, value: float) -> dict[Any, Any]:
    class Config:
        def __init__(self) -> None:
            for index, key in enumerate(keys(count)):
                setattr(self, key, value + index)

    Config()  # the keys of its attributes are shared with the next one's
    return vars(Config())


def keywords(count: int, value: float) -> dict[Any, Any]:
    return (lambda **entries: entries)(**grown(count, value))


def other_keys(count: int, value: float) -> dict[Any, Any]:
    return {**grown(count, value), 7: value, -(2**80): int(value)}


class Name(str):
    """Published as the string that it is."""


def names(count: int, value: float) -> dict[Any, Any]:
    return {Name(key): value + index for index, key in enumerate(keys(count))}


def copied(count: int, value: float) -> dict[Any, Any]:
    return with_hole(count, value).copy()


def parsed(count: int, value: float) -> dict[Any, Any]:
    made: dict[Any, Any] = json.loads(json.dumps(grown(count, value)))
    return made


MAKES: list[Callable[[int, float], dict[Any, Any]]] = [
    grown,
    with_hole,
    put_back,
    popped,
    refilled,
    attributes,
    keywords,
    other_keys,
    names,
    copied,
    parsed,
]


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("make", MAKES)
def test_any_dictionary(channel_name: str, make: Callable[[int, float], dict[Any, Any]], count: int) -> None:
    """Unknown, expected, and expected with equal keys of its own; at the root and below it."""
    capacity = 16 << 20
    with traincast.TrainingInfoWriter(channel_name, capacity=capacity, required=()) as writer:
        for turn in range(4 if count < 10_000 else 3):
            inner = make(count, 10.5 * turn)
            writer.publish({STEPS: turn, "below": inner, "after": turn / 3})
            with traincast.TrainingInfoReader(channel_name) as reader:
                plain = {str(key) if isinstance(key, Name) else key: value for key, value in inner.items()}
                assert_identical(reader.read(), {STEPS: turn, "below": plain, "after": turn / 3})
                writer.publish(inner)
                assert_identical(reader.read(), plain)


@pytest.mark.parametrize("make", MAKES)
def test_one_make_after_another(channel_name: str, make: Callable[[int, float], dict[Any, Any]]) -> None:
    """The structure stays; the way in which its dictionaries are made changes."""
    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        for turn, other in enumerate([grown, make] * 3):
            for one in (other, make):
                writer.publish({"a": one(9, turn / 7), "b": {"c": one(3, turn)}})
                expected = {"a": one(9, turn / 7), "b": {"c": one(3, turn)}}
                with traincast.TrainingInfoReader(channel_name) as reader:
                    assert reader.read() == expected


def test_changing_one_dictionary_in_place(channel_name: str) -> None:
    """As a learner does that keeps its dictionary: entries come and go between publishes."""
    info: dict[str, Any] = {STEPS: 0}
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info)
        reader = traincast.TrainingInfoReader(channel_name)
        for turn in range(600):
            info[STEPS] = turn
            if turn % 3 == 0:
                info.pop(f"key {turn % 50}", None)
            else:
                info[f"key {turn % 50}"] = turn / 2 if turn % 2 else {"turn": turn}
            for _ in range(2):
                writer.publish(info)
                assert_identical(reader.read(), info)
