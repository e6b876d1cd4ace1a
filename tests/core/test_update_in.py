"""`update_in`: values further down changed, in one publish, the others as they are."""

from __future__ import annotations

import copy
import random
import threading
from typing import Any

import numpy as np
import pytest
from snapshots import STEPS, assert_identical, info

import traincast

START: dict[Any, Any] = {
    STEPS: 0,
    "reward_shaping": {"goal": 1.0, "alive": 2.0, "text": "x" * 20},
    "layers": [{"lr": 0.5}, ({"lr": 0.25}, 7)],
    "a.b": 5,
    7: {"seven": b"bytes", -1: np.arange(20.0)},
    "last": "text",
}


@pytest.fixture
def writer(channel_name: str) -> Any:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(START)
        yield writer


def put(info: Any, path: Any, value: Any) -> Any:
    """What `update_in` is to publish."""
    info = copy.deepcopy(info)
    if isinstance(path, str):
        path = tuple(path.split("."))

    def replaced(place: Any, path: tuple[Any, ...]) -> Any:
        if not path:
            return value
        key, *rest = path
        if isinstance(place, dict):
            return {**place, key: replaced(place.get(key), tuple(rest))}
        items = list(place)
        items[int(key)] = replaced(items[int(key)], tuple(rest))
        return type(place)(items)

    return replaced(info, path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("reward_shaping.goal", 2.0),
        ("reward_shaping.goal", 2),
        ("reward_shaping.goal", "a text that is longer than all that was there"),
        ("reward_shaping.text", ""),
        ("reward_shaping.new", [1, {"a": np.arange(3)}]),
        ("reward_shaping", None),
        (("reward_shaping", "a.b"), 1),
        ("layers.0.lr", 0.125),
        ("layers.1.0.lr", "text"),
        ("layers.-1.1", np.arange(9)),
        (("layers", 1, 0, "new"), 1),
        (("layers", -1), ()),
        (("a.b",), 6),
        ((7, "seven"), b"longer bytes than before"),
        ((7, -1), np.arange(3)),
        ((7, 2**70), {}),
        ((8,), "a new int key"),
        (STEPS, 9),
        ("new", {"deep": {"deeper": 1}}),
    ],
)
def test_one_value_changes_and_the_others_stay(
    writer: traincast.TrainingInfoWriter, path: Any, value: Any
) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    wanted = put(START, path, value)
    for version in (2, 3, 4):
        assert writer.update_in(path, value) == version
        assert_identical(reader.read(), wanted)
        assert_identical(reader.key(path)(), value)


def test_several_values_change_in_one_publish(writer: traincast.TrainingInfoWriter) -> None:
    changes: dict[Any, Any] = {
        "reward_shaping.alive": 3.0,
        "layers.0": "replaced",
        ("layers", 1, 1): 8,
        "reward_shaping.first": "added first",
        (7, 8): np.float32(1.5),
        "reward_shaping.second": "added second",
        STEPS: 1,
        "top": [],
    }
    assert writer.update_in(changes) == 2
    wanted = START
    for path, value in changes.items():
        wanted = put(wanted, path, value)
    assert_identical(traincast.TrainingInfoReader(writer.name).read(), wanted)
    assert writer.version == 2


def test_numbers_can_be_changed_again_and_again(writer: traincast.TrainingInfoWriter) -> None:
    writer.publish(info(shaping={"goal": 1.0, "on": False}, steps=[1, 2]))
    reader = traincast.TrainingInfoReader(writer.name)
    for i in range(20):
        writer.update_in({"shaping.goal": i + 0.5, "shaping.on": i % 2 == 0, "steps.1": i})
        assert_identical(reader.read(), info(shaping={"goal": i + 0.5, "on": i % 2 == 0}, steps=[1, i]))
        writer.update(**{STEPS: i})
        assert reader[STEPS] == i
        writer.update(**{STEPS: 0})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("reward_shapin.goal", r'has no key "reward_shapin"; did you mean "reward_shaping.goal"\?'),
        ("missing.deep", r'"missing.deep" in the newest snapshot of .* has no key "missing"; it has '),
        ("reward_shaping.new.deep", r'info\["reward_shaping"\] has no key "new"'),
        ("reward_shaping.goal.deep", r'info\["reward_shaping"\]\["goal"\] is no dictionary'),
        ("last.deep", r'info\["last"\] is no dictionary'),
        ((7, -1, 0), r"info\[7\]\[-1\] is an array: take the whole of it"),
        ("layers.2", r'info\["layers"\] is a list of 2, which has no index "2"'),
        ("layers.new", r'info\["layers"\] is a list of 2, which has no index "new"'),
    ],
)
def test_the_dictionaries_above_the_value_must_exist(
    writer: traincast.TrainingInfoWriter, path: Any, message: str
) -> None:
    for call in (lambda: writer.update_in(path, 1), lambda: writer.update_in({STEPS: 5, path: 1})):
        with pytest.raises(traincast.MissingKeyError, match=message) as caught:
            call()
        assert "Only the last key of a path may be new: put what is above it there first" in str(caught.value)
    assert writer.version == 1
    assert_identical(traincast.TrainingInfoReader(writer.name).read(), START)


@pytest.mark.parametrize(
    "changes",
    [
        {"reward_shaping": {}, "reward_shaping.goal": 1},
        {"reward_shaping.goal": 1, "reward_shaping": {}},
        {"reward_shaping": {}, "reward_shaping.new": 1},
        {"reward_shaping.goal": 1.5, ("reward_shaping", "goal"): 2.5},
        {"reward_shaping.new": 1, ("reward_shaping", "new"): 2},
        {("layers", 1): 1, ("layers", -1): 2},
    ],
)
def test_two_paths_to_one_place_are_refused(writer: traincast.TrainingInfoWriter, changes: Any) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="would replace the same value; give one of them"):
            writer.update_in(changes)
    assert writer.version == 1


def test_what_a_snapshot_cannot_hold_is_named_by_its_whole_path(writer: traincast.TrainingInfoWriter) -> None:
    with pytest.raises(
        traincast.UnsupportedTypeError, match=r'^info\["reward_shaping"\]\["goal"\]\["a"\]\[1\]: set is not'
    ):
        writer.update_in("reward_shaping.goal", {"a": [1, {2}]})
    with pytest.raises(
        traincast.InvalidSnapshotError, match=r'^info\["layers"\]\[-1\]: it holds a lone surr'
    ):
        writer.update_in(("layers", -1), "\ud800")
    deep: Any = 1
    for _ in range(62):
        deep = [deep]
    assert writer.update_in("reward_shaping.goal", deep) == 2
    with pytest.raises(traincast.InvalidSnapshotError, match="64 levels"):
        writer.update_in("reward_shaping.goal", [deep])
    assert writer.version == 2


def test_wrong_arguments_are_refused(writer: traincast.TrainingInfoWriter) -> None:
    for arguments, message in [
        (("a",), "needs a value for the path"),
        (({}, 1), "give the path first"),
        ((7, 1), r"use \(7,\)"),
        ((["a"], 1), "not list"),
        (((True,), 1), "not bool"),
    ]:
        with pytest.raises(TypeError, match=message):
            writer.update_in(*arguments)  # type: ignore[call-overload]
    for path in ("", "a..b", ()):
        with pytest.raises(ValueError, match="is no path"):
            writer.update_in(path, 1)
    assert writer.version == 1
    assert writer.update_in({}) == 2  # as update() without changes
    assert writer.update_in(path="last", value=1) == 3


def test_the_first_publish_must_give_whole_dictionaries(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        with pytest.raises(traincast.MissingKeyError, match='has no key "a"; it is empty'):
            writer.update_in("a.b", 1)
        with pytest.raises(traincast.MissingKeyError, match="lacks the key"):
            writer.update_in("a", {"b": 1})
        assert writer.update_in({STEPS: 1, "a": {"b": 1}}) == 1
        assert writer.update_in("a.b", 2) == 2
        assert_identical(traincast.TrainingInfoReader(channel_name).read(), {STEPS: 1, "a": {"b": 2}})
        writer.close()
        with pytest.raises(traincast.ChannelClosedError):
            writer.update_in("a.b", 3)


def test_update_takes_a_dotted_name_as_one_key(writer: traincast.TrainingInfoWriter) -> None:
    writer.update(**{"reward_shaping.goal": 2.0})
    read = traincast.TrainingInfoReader(writer.name).read()
    assert read["reward_shaping"] == START["reward_shaping"]
    assert read["reward_shaping.goal"] == 2.0
    assert "update_in" in (traincast.TrainingInfoWriter.update.__doc__ or "")


def test_any_value_of_any_snapshot_can_be_changed(channel_name: str) -> None:
    """Against the same change made in Python."""
    rng = random.Random(11)

    def value(depth: int) -> Any:
        kind = rng.randrange(9 if depth else 6)
        leaves = [
            rng.random(),
            rng.randrange(9),
            "t" * rng.randrange(20),
            None,
            2**70,
            np.arange(rng.randrange(5)),
        ]
        if kind < len(leaves):
            return leaves[kind]
        if kind == 6:
            return [value(depth - 1) for _ in range(rng.randrange(4))]
        if kind == 7:
            return tuple(value(depth - 1) for _ in range(rng.randrange(4)))
        return {key: value(depth - 1) for key in rng.sample(["a", "b", "c", 1, 2, "x.y"], rng.randrange(5))}

    def some_path(place: Any) -> tuple[Any, ...]:
        if isinstance(place, dict):
            key = rng.choice([*place, "new", 99]) if place else "new"
            deeper = place.get(key)
        else:
            key = rng.randrange(len(place))
            deeper = place[key]
        if (
            rng.random() < 0.6
            and isinstance(deeper, dict | list | tuple)
            and (deeper or isinstance(deeper, dict))
        ):
            return (key, *some_path(deeper))
        return (key,)

    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        reader = None
        for _ in range(300):
            start = {STEPS: 0, "d": {"e": value(3)}, **{k: value(3) for k in ("f", "g")}}
            writer.publish(start)
            reader = reader or traincast.TrainingInfoReader(channel_name)
            wanted, changes = start, {}
            for _ in range(rng.randrange(1, 4)):
                path = some_path(start)
                if any(path[: len(p)] == p or p[: len(path)] == path for p in changes):
                    continue
                changes[path] = value(2)
                wanted = put(wanted, path, changes[path])
            writer.update_in(changes)
            assert_identical(reader.read(), wanted)


def test_no_update_of_another_thread_is_lost(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(counts={str(i): 0 for i in range(4)}, texts={str(i): "" for i in range(4)}))

        def count(own: str) -> None:
            for i in range(1, 400):
                writer.update_in(f"counts.{own}", i)
                writer.update_in(f"texts.{own}", "x" * (i % 40))

        threads = [threading.Thread(target=count, args=[str(i)]) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        read = traincast.TrainingInfoReader(channel_name).read()
        assert read["counts"] == {str(i): 399 for i in range(4)}
        assert read["texts"] == {str(i): "x" * (399 % 40) for i in range(4)}
        assert writer.version == 1 + 4 * 2 * 399


def test_the_code_of_a_value_may_publish(channel_name: str) -> None:
    """What it publishes comes before, and the update is made to it."""

    class Publishes(dict[str, int]):
        def items(self) -> Any:
            writer.publish(info(a={"b": 1, "c": "inner"}))
            return super().items()

    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(a={"b": 0}))
        assert writer.update_in("a.b", Publishes(x=1)) == 3
        read = traincast.TrainingInfoReader(channel_name).read()
        assert_identical(read, info(a={"b": {"x": 1}, "c": "inner"}))
