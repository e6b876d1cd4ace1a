"""Snapshots that are refused: the exception, its message, and that what was published before stays."""

from __future__ import annotations

import re
from collections import UserDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snapshots import STEPS, assert_identical, info

import traincast


def self_dict() -> Any:
    around: dict[str, Any] = info()
    around["self"] = around
    return around


def self_list() -> Any:
    around: list[Any] = [1]
    around.append(around)
    return info(list=around)


def self_tuple() -> Any:
    inside: list[Any] = []
    inside.append((1, inside))
    return info(tuple=inside[0])


def self_deque() -> Any:
    around: deque[Any] = deque()
    around.append(around)
    return info(deque=around)


def self_mapping() -> Any:
    around: UserDict[str, Any] = UserDict(info())
    around["self"] = {"between": [around]}
    return around


def two_in_a_circle() -> Any:
    one, other = info(), {}
    one["other"], other["one"] = other, one
    return one


def nested(kind: Any, depth: int) -> Any:
    """Containers inside of containers; the root dictionary is at depth 1."""
    value: Any = 7
    for _ in range(depth - 1):
        value = kind(value)
    return info(a=value)


NESTINGS = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "dict": lambda value: {"k": value},
    "deque": lambda value: deque([value]),
    "mapping": lambda value: UserDict(k=value),
}


@pytest.mark.parametrize("kind", NESTINGS.values(), ids=NESTINGS)
def test_a_snapshot_may_be_nested_64_levels_deep_and_no_deeper(channel_name: str, kind: Any) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(nested(kind, 64))
        reader = traincast.TrainingInfoReader(channel_name)
        value = reader["a"]
        for _ in range(63):
            value = value["k"] if isinstance(value, dict) else value[0]
        assert value == 7
        before = reader.read()
        # Some CPythons (3.13.18) crash when they free deques that are nested this deep.
        for depth in (65, 66, 1000, 1001 if kind is NESTINGS["deque"] else 100_000):
            with pytest.raises(
                traincast.InvalidSnapshotError,
                match=r'^info\["a"\](\[.+\])+: it is nested deeper than 64 levels; flatten it$',
            ):
                writer.publish(nested(kind, depth))
        assert reader.read() is before
        assert writer.update(a=1) == 2


INVALID = {
    "dict in itself": (self_dict, r'info(\["self"\]|\[…\])+: it contains itself; a snapshot must be a tree'),
    "list in itself": (
        self_list,
        r'info\["list"\](\[[1…]\])+: it contains itself; a snapshot must be a tree',
    ),
    "tuple in itself": (
        self_tuple,
        r'info\["tuple"\](\[[01…]\])+: it contains itself; a snapshot must be a tree',
    ),
    "deque in itself": (
        self_deque,
        r'info\["deque"\](\[[0…]\])+: it contains itself; a snapshot must be a tree',
    ),
    "mapping in itself": (self_mapping, r"info(\[.+\])+: it contains itself; a snapshot must be a tree"),
    "circle of two": (
        two_in_a_circle,
        r'info(\["(other|one)"\]|\[…\])+: it contains itself; a snapshot must be a tree',
    ),
    "lone surrogate": (
        lambda: info(a=[1, "x\ud800y"]),
        r'info\["a"\]\[1\]: it holds a lone surrogate, which is not valid Unicode; '
        r"use bytes, or encode it with errors='replace'",
    ),
    "lone surrogate in a subclass": (
        lambda: info(a=type("Label", (str,), {})("\udfff")),
        r'info\["a"\]: it holds a lone surrogate, which is not valid Unicode; '
        r"use bytes, or encode it with errors='replace'",
    ),
    "lone surrogate in a key": (
        lambda: info(a={"ok": 1, "x\ud800": 2}),
        r'info\["a"\]\[.+\]: a key holds a lone surrogate, which is not valid Unicode; '
        r"use bytes, or encode it with errors='replace'",
    ),
    "lone surrogate in a key of a mapping": (
        lambda: info(a=UserDict({"\udc00": 2})),
        r'info\["a"\]\[.+\]: a key holds a lone surrogate, which is not valid Unicode; '
        r"use bytes, or encode it with errors='replace'",
    ),
}


@pytest.mark.parametrize(("make", "pattern"), INVALID.values(), ids=INVALID)
def test_an_invalid_snapshot_is_refused_and_changes_nothing(
    channel_name: str, make: Any, pattern: str
) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a="before"))
        reader = traincast.TrainingInfoReader(channel_name)
        for expected in (traincast.InvalidSnapshotError, ValueError):
            with pytest.raises(expected, match=f"^{pattern}$"):
                writer.publish(make())
        assert_identical(reader.read(), info(a="before"))
        assert writer.publish(info(a="after")) == 2
        assert_identical(reader.read(), info(a="after"))


def test_the_same_container_twice_is_no_cycle(channel_name: str) -> None:
    shared = [1, {"x": 2}]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=shared, b=[shared, shared]))
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(read, info(a=shared, b=[shared, shared]))
        assert read["b"][0] is not read["b"][1]


@pytest.mark.parametrize("lacking", [{}, {"steps": 1}, {STEPS.upper(): 1}, {"nested": {STEPS: 1}}], ids=repr)
def test_a_snapshot_without_a_required_key_is_refused(channel_name: str, lacking: dict[str, Any]) -> None:
    sentence = (
        f'info lacks the key "{STEPS}", which {channel_name}@0 guarantees to its readers; '
        "add it, or open the writer with required=() to guarantee nothing"
    )
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for version in (1, 2):  # a new shape, then a known one
            for expected in (traincast.MissingKeyError, KeyError):
                with pytest.raises(expected, match=f"^{re.escape(sentence)}$"):
                    writer.publish(lacking)
            if version == 1:
                with pytest.raises(traincast.ChannelNotFoundError):
                    traincast.TrainingInfoReader(channel_name)
            assert writer.publish(info(a=version)) == version
            assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a=version))


def test_a_snapshot_above_max_capacity_is_refused_with_the_size_it_needs(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, max_capacity=102_400) as writer:
        writer.publish(info(a=b"x" * 90_000))
        reader = traincast.TrainingInfoReader(channel_name)
        before = reader.read()
        for size in (102_400, 10**7):
            for expected in (traincast.PayloadTooLargeError, ValueError):
                with pytest.raises(expected) as caught:
                    writer.publish(info(a=b"x" * size))
                found = re.fullmatch(
                    r"the snapshot needs (\d+) bytes, and this channel may not grow beyond 102400 "
                    r"per snapshot; pass max_capacity=(\d+) or more to the writer, or publish less",
                    str(caught.value),
                )
                assert found
                needed, suggested = map(int, found.groups())
                assert size < needed < size + 500
                assert needed <= suggested
            with pytest.raises(traincast.PayloadTooLargeError, match=r"^the snapshot needs"):
                writer.update(b=np.zeros(size, np.uint8))
        assert reader.read() is before
        assert writer.publish(info(a=1)) == 2
        assert_identical(reader.read(), info(a=1))
    with traincast.TrainingInfoWriter(channel_name, max_capacity=suggested) as writer:
        writer.publish(info(a=b"x" * size))


def test_a_first_snapshot_above_max_capacity_is_refused(channel_name: str, traincast_dir: Path) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.PayloadTooLargeError, match="may not grow beyond 67108864 per snapshot"):
            writer.publish(info(a=bytes(2**26)))
        assert writer.version == 0
        with pytest.raises(traincast.ChannelNotFoundError):
            traincast.TrainingInfoReader(channel_name)
        assert writer.publish(info(a=bytes(2**25))) == 1
        assert len(traincast.TrainingInfoReader(channel_name)["a"]) == 2**25
    assert list(traincast_dir.iterdir()) == []
