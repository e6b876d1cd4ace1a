"""`update`: the last dictionary with some keys changed, whatever was published before."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from snapshots import STEPS, assert_identical, info

import traincast


def test_update_changes_the_given_keys_and_keeps_the_others(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.update(**info(a=1, b={"c": [1]}))  # the first one is a publish
        reader = traincast.TrainingInfoReader(channel_name)
        assert_identical(reader.read(), info(a=1, b={"c": [1]}))
        writer.update(a=2, d="new")
        assert_identical(reader.read(), info(a=2, b={"c": [1]}, d="new"))
        writer.update()
        assert reader.changed()
        assert_identical(reader.read(), info(a=2, b={"c": [1]}, d="new"))
        writer.update(b=None)
        assert_identical(reader.read(), info(a=2, b=None, d="new"))
        writer.publish(info())
        writer.update(a=3)
        assert_identical(reader.read(), info(a=3))


def test_update_keeps_the_order_of_keys(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({"z": 1, STEPS: 2, 5: "int key", "a": "text", "m": [1, 2]})
        writer.update(a=b"bytes", z=("longer", "than", "before"), n=1)
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(
            read,
            {"z": ("longer", "than", "before"), STEPS: 2, 5: "int key", "a": b"bytes", "m": [1, 2], "n": 1},
        )


def test_update_takes_any_string_as_a_key(channel_name: str) -> None:
    changes = {"self": 1, "info": 2, "not an identifier": 3, "": 4, "ключ": 5}
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        writer.update(**changes)
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(**changes))


def test_a_failed_update_changes_nothing(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a=1, b="x"))
        with pytest.raises(traincast.UnsupportedTypeError, match=r'^info\["b"\]\[0\]: set is not supported'):
            writer.update(a=2, b=[set()])
        with pytest.raises(traincast.MissingKeyError):
            traincast.TrainingInfoWriter(f"{channel_name}-2").update(a=1)
        assert writer.version == 1
        assert writer.update(c=3) == 2
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), info(a=1, b="x", c=3))


def test_an_update_may_follow_a_structure_met_for_the_first_time(channel_name: str) -> None:
    """It is not cached yet: the keys that the last cached one expects are not its own."""
    structures: list[dict[Any, Any]] = [
        {STEPS: 0},
        {"": None, "0": None, STEPS: 0},
        {STEPS: 0, "": None, 0: None},
    ]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(structures[0])
        reader = traincast.TrainingInfoReader(channel_name)
        for structure in structures:
            model = dict(structure)
            writer.publish(model)
            for steps in (0, 2**63, 0):
                model[STEPS] = steps
                writer.update(**{STEPS: steps})
                assert_identical(reader.read(), model)


def test_any_structure_can_be_updated_after_any_other(channel_name: str) -> None:
    structures: list[dict[Any, Any]] = [
        {STEPS: 1},
        {STEPS: 1, "a": 2},
        {"a": 2, STEPS: 1},
        {"a": [2], STEPS: 1, "b": "x"},
        {"b": b"x", 0: 1.5, STEPS: 1, "a": None},
        {1: 1, "1": 1, STEPS: 1},
    ]
    changes: list[dict[str, Any]] = [{}, {STEPS: 2}, {"a": 3}, {"b": (1,)}, {"1": {}, STEPS: 2**70}, {"": 0}]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info())
        reader = traincast.TrainingInfoReader(channel_name)
        for one, other, first, second in product(structures, structures, changes, changes):
            writer.publish(one)
            writer.update(**first)
            writer.publish(other)
            writer.update(**second)
            assert_identical(reader.read(), {**other, **second})
            writer.update(**first)
            assert_identical(reader.read(), {**other, **second, **first})


@pytest.mark.parametrize("text", [None, "some"], ids=["numbers", "and a string"])
def test_any_entry_can_be_updated_with_any_value(channel_name: str, text: str | None) -> None:
    """The first entries are found by their key objects, and numbers take the place of numbers."""
    values: list[Any] = [
        5,
        -(2**63),
        2**63,
        True,
        0.0,
        -0.0,
        float("nan"),
        None,
        "x",
        [1],
        {"y": 2.5},
        False,
        7,
    ]
    names = [f"entry {index}" for index in range(12)]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        model = info(**dict.fromkeys(names, 1), text=text)
        writer.publish(model)
        writer.publish(model)
        reader = traincast.TrainingInfoReader(channel_name)
        for turn, (name, value) in enumerate(product(names, values)):
            made_anew = "".join(name)  # equal to the key that was met, and another object
            other = names[turn % len(names)]
            for changes in ({name: value}, {made_anew: turn}, {name: turn / 3, other: turn}, {STEPS: turn}):
                model.update(changes)
                writer.update(**changes)
                assert_identical(reader.read(), model)
        with pytest.raises(traincast.UnsupportedTypeError):
            writer.update(**{STEPS: 1, names[0]: set()})
        assert_identical(reader.read(), model)
        writer.update(**{names[-1]: 3})
        assert_identical(reader.read(), {**model, names[-1]: 3})
