"""`reader.key(path)`: one value, whatever it is, without a dictionary of the others."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from snapshots import STEPS, assert_identical, info

import traincast

SHAPING = {"goal": 1.0, "alive": 2, "on": True}
WHOLE: dict[Any, Any] = {
    STEPS: 5,
    "reward_shaping": SHAPING,
    "layers": [{"lr": 0.5}, ({"lr": 0.25}, 7)],
    "a.b": "dotted",
    "": "empty",
    7: {"seven": b"bytes", -1: 2**70, 2**70: None},
    "array": np.arange(6.0).reshape(2, 3),
    "text": "ä" * 100,
}


@pytest.fixture
def writer(channel_name: str) -> Any:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(WHOLE)
        yield writer


@pytest.fixture
def reader(writer: traincast.TrainingInfoWriter) -> traincast.TrainingInfoReader[Any]:
    return traincast.TrainingInfoReader(writer.name)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (STEPS, 5),
        ("reward_shaping", SHAPING),
        ("reward_shaping.goal", 1.0),
        ("reward_shaping.alive", 2),
        ("reward_shaping.on", True),
        (("reward_shaping", "goal"), 1.0),
        ("layers", WHOLE["layers"]),
        ("layers.0.lr", 0.5),
        ("layers.1.0.lr", 0.25),
        ("layers.-1.1", 7),
        (("layers", -1, 0, "lr"), 0.25),
        (("layers", "1", 1), 7),
        (("layers", np.int64(1), 1), 7),
        (("a.b",), "dotted"),
        (("",), "empty"),
        ((7, "seven"), b"bytes"),
        ((np.uint8(7), -1), 2**70),
        ((7, 2**70), None),
        ((7,), WHOLE[7]),
        ("array", WHOLE["array"]),
        ("text", WHOLE["text"]),
    ],
)
def test_any_value_by_its_path(reader: traincast.TrainingInfoReader[Any], path: Any, value: Any) -> None:
    key = reader.key(path)
    for _ in range(3):
        assert_identical(key(), value)
    assert key() is key()  # the same object while nothing changed
    again = reader.key(key.path)
    assert again.path == key.path
    assert_identical(again(), value)


def test_every_kind_of_value_as_it_changes(channel_name: str) -> None:
    values = [1, -(2**63), 0.5, float("nan"), True, None, 2**64, "text", b"b", [1, [2]], (3,), {"a": {4: 5}}]
    values += [np.float32(1.5), np.arange(3), np.datetime64("2020-01-01"), [], {}, ""]
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(other=[0], value=None))
        key = traincast.TrainingInfoReader(channel_name).key("value")
        for turn in range(3):  # new structures, and ones that were met before
            for number, value in enumerate(values):
                for length in (1, number + turn + 2):  # the same structure again, and another one in front
                    writer.publish(info(other=list(range(length)), value=value))
                    assert_identical(key(), value)


def test_a_malformed_path_is_refused(reader: traincast.TrainingInfoReader[Any]) -> None:
    for path in ("", "a..b", ".a", "a.", "."):
        with pytest.raises(ValueError, match="is no path"):
            reader.key(path)
    with pytest.raises(ValueError, match=r"\(\) is no path: a path needs at least one key"):
        reader.key(())
    for path, message in {
        7: r"use \(7,\)",
        None: r"not NoneType; use tuple",
        b"a": "not bytes",
        1.5: "not float",
        ("a", True): "not bool",
        ("a", 1.5): "not float",
        ("a", ("b",)): "not tuple",
    }.items():
        with pytest.raises(TypeError, match=message):
            reader.key(path)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        reader.key("\ud800")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "reward_shaping.gaol",
            r'info\["reward_shaping"\] has no key "gaol"; did you mean "reward_shaping.goal"\?',
        ),
        ("reward_shapin.goal", r'info has no key "reward_shapin"; did you mean "reward_shaping.goal"\?'),
        ("a.b", r'has no key "a"; did you mean \("a\.b",\)\?'),
        ("zz", r'"zz": info has no key "zz"; it has "approx_total_training_steps", "reward_shaping", '),
        (("reward_shaping", 7), r'\("reward_shaping", 7\): .* has no key 7; it has "goal", "alive", "on"\.'),
        ("7", r'no key "7"; did you mean \(7,\)\?'),
        ("layers.2", r'info\["layers"\] is a list of 2, which has no index "2"'),
        ("layers.first", r'info\["layers"\] is a list of 2, which has no index "first"'),
        (("layers", 1, 5), r'info\["layers"\]\[1\] is a tuple of 2, which has no index 5'),
        ("array.0", r'info\["array"\] is an array: take the whole of it, and index that'),
        ("reward_shaping.goal.x", r'info\["reward_shaping"\]\["goal"\] is no dictionary'),
        ("text.0", r'info\["text"\] is no dictionary'),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(
    reader: traincast.TrainingInfoReader[Any], path: Any, message: str
) -> None:
    key = reader.key(path)
    for _ in range(2):
        with pytest.raises(traincast.MissingKeyError, match=message) as caught:
            key()
    assert isinstance(caught.value, KeyError)
    assert reader.name in str(caught.value)
    assert "default=" in str(caught.value)
    assert_identical(reader.read(), WHOLE)
    sentinel = object()
    assert reader.key(path, default=sentinel)() is sentinel


def test_a_default_may_be_anything_but_three_dots(reader: traincast.TrainingInfoReader[Any]) -> None:
    for default in (None, 0, False, [], KeyError):
        assert reader.key("missing", default)() is default
        assert reader.key("missing", default=default)() is default
    with pytest.raises(traincast.MissingKeyError):
        reader.key("missing", default=...)()
    assert reader.key(STEPS, default=None)() == 5


def test_a_value_that_comes_and_goes(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(other=1))
        reader = traincast.TrainingInfoReader(channel_name)
        must, may = reader.key("a.b"), reader.key("a.b", default=-1)
        for turn in range(5):
            with pytest.raises(traincast.MissingKeyError):
                must()
            assert may() == -1
            for value in (turn, turn + 0.5, "text", turn):
                writer.publish(info(a={"b": value}))
                assert_identical(must(), value)
                assert_identical(may(), value)
            writer.publish(info(other=turn))


def test_a_key_is_not_a_read_of_its_reader(
    writer: traincast.TrainingInfoWriter, reader: traincast.TrainingInfoReader[Any]
) -> None:
    key = reader.key(STEPS)
    assert key.version == 0
    assert key() == 5
    assert (key.version, reader.version, reader.epoch) == (1, 0, 0)
    assert reader.changed()
    first = reader.read()
    writer.update(**{STEPS: 6})
    assert key() == 6
    assert (key.version, reader.version) == (2, 1)
    assert reader.changed()
    assert first[STEPS] == 5
    second = reader.read_if_changed()
    assert second is not None
    assert second[STEPS] == 6
    assert key() == 6


def test_the_value_belongs_to_one_snapshot(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(pair=[0, 0.0, "0"]))
        key = traincast.TrainingInfoReader(channel_name).key("pair")
        for i in range(1, 50):
            writer.publish(info(pair=[i, float(i), str(i)]))
            assert_identical(key(), [i, float(i), str(i)])


def test_what_was_handed_out_stays_as_it_is(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        values = [{"list": [i, float(i)], "array": np.full(3, i)} for i in range(20)]
        writer.publish(info(value=values[0], number=0.5))
        reader = traincast.TrainingInfoReader(channel_name)
        value, number = reader.key("value"), reader.key("number")
        got = []
        for i, each in enumerate(values):
            writer.publish(info(value=each, number=i + 0.5))
            got.append((value(), number(), reader.read()["value"]))
        for i, (by_key, float_by_key, by_read) in enumerate(got):
            assert_identical(by_key, values[i])
            assert_identical(by_read, values[i])
            assert float_by_key == i + 0.5
            assert by_key is not by_read


def test_arrays_are_read_only(reader: traincast.TrainingInfoReader[Any]) -> None:
    array = reader.key("array")()
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1
    mine = array.copy()
    mine[0, 0] = 1
    assert reader.key("array")()[0, 0] == 0


def test_a_closed_reader_closes_its_keys(reader: traincast.TrainingInfoReader[Any]) -> None:
    called, new, by_default = reader.key(STEPS), reader.key(STEPS), reader.key("missing", default=1)
    assert called() == 5
    assert by_default() == 1
    reader.close()
    for key in (called, new, by_default):
        for _ in range(2):
            with pytest.raises(traincast.ChannelClosedError, match=r"this reader of .* is closed"):
                key()
    with pytest.raises(traincast.ChannelClosedError):
        reader.key(STEPS)


def test_a_key_keeps_its_reader(writer: traincast.TrainingInfoWriter) -> None:
    key = traincast.TrainingInfoReader(writer.name).key(STEPS)
    gc.collect()
    writer.update(**{STEPS: 7})
    assert key() == 7


def test_a_key_keeps_its_value_when_the_learner_closes_the_channel(
    writer: traincast.TrainingInfoWriter,
) -> None:
    key = traincast.TrainingInfoReader(writer.name).key(STEPS)
    writer.update(**{STEPS: 7})
    writer.close()
    for _ in range(20):
        assert key() == 7


def test_a_key_is_called_without_arguments(reader: traincast.TrainingInfoReader[Any]) -> None:
    key = reader.key(STEPS)
    assert key() == key(*()) == key.__call__() == 5
    assert list(map(lambda key: key(), [key])) == [5]  # noqa: C417 - by other ways of calling it
    assert str(inspect.signature(key)) == "()"
    for call in (lambda: key(1), lambda: key(*[1]), lambda: key(a=1)):  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="called without arguments"):
            call()


def test_repr_and_path_say_which_value_it_is(reader: traincast.TrainingInfoReader[Any]) -> None:
    key = reader.key("reward_shaping.goal")
    assert repr(key) == f'<TrainingInfoKey "reward_shaping.goal" of "{reader.name}" policy_id=0 version=0>'
    assert reader.key(("reward_shaping", "goal")).path == "reward_shaping.goal"
    assert reader.key(("a.b", 7, 2**70)).path == ("a.b", 7, 2**70)
    key()
    assert repr(key).endswith("version=1>")
    assert reader.version == 0


def test_a_key_can_be_copied_and_pickled(reader: traincast.TrainingInfoReader[Any]) -> None:
    for key, value in (
        (reader.key("reward_shaping.goal"), 1.0),
        (reader.key((7, -1)), 2**70),
        (reader.key("missing", default=[1]), [1]),
    ):
        key()
        for twin in (copy.copy(key), copy.deepcopy(key), pickle.loads(pickle.dumps(key))):
            assert type(twin) is traincast.TrainingInfoKey
            assert (twin.path, twin.version, twin()) == (key.path, 0, value)


def test_a_key_can_be_made_by_its_class_and_not_subclassed(reader: traincast.TrainingInfoReader[Any]) -> None:
    assert traincast.TrainingInfoKey(reader, STEPS)() == 5
    assert traincast.TrainingInfoKey[int](reader, path="missing", default=3)() == 3
    with pytest.raises(TypeError):
        traincast.TrainingInfoKey({}, STEPS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="acceptable base type"):
        type("Mine", (traincast.TrainingInfoKey,), {})


def test_keys_compare_by_identity(reader: traincast.TrainingInfoReader[Any]) -> None:
    one, other = reader.key(STEPS), reader.key(STEPS)
    assert one != other
    assert len({one, other, one}) == 2


@pytest.mark.parametrize("cycle", ["value", "default", "reader"])
def test_cycles_are_collected(channel_name: str, cycle: str) -> None:
    class Canary:
        pass

    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(items=[]))
        reader = traincast.TrainingInfoReader(channel_name)
        canary: Any = Canary()
        gone = weakref.ref(canary)
        if cycle == "value":
            key = reader.key("items")
            key().append((key, canary))
        elif cycle == "default":
            canary.key = reader.key("missing", default=canary)
            key = canary.key
            assert key() is canary
        else:
            key = reader.key("items")
            reader.read()["key"] = (key, canary)
        dead = weakref.ref(key)
        del key, reader, canary
        gc.collect()
        assert gone() is None
        assert dead() is None


def test_the_destructor_of_an_old_value_may_use_the_key(channel_name: str) -> None:
    """The old value's destructor runs in the middle of a call."""
    calls = []

    class Calls:
        def __del__(self) -> None:
            writer.publish(info(items=[3]))
            calls.append(key())

    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(items=[1]))
        key = traincast.TrainingInfoReader(channel_name).key("items")
        key().append(Calls())
        writer.publish(info(items=[2]))
        assert key() in ([2], [3])
        assert calls == [[3]]
        assert key() == [3]


def test_calling_a_key_leaks_no_memory(channel_name: str) -> None:
    def resident() -> int:
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(WHOLE)
        reader = traincast.TrainingInfoReader(channel_name)

        def work(rounds: int) -> None:
            kept = reader.key("reward_shaping.goal")
            for i in range(rounds):
                shaping = {"goal": float(i)} if i % 3 else {"alive": [i] * (i % 7), "goal": "x" * 500}
                writer.publish(WHOLE | {"reward_shaping": shaping})
                kept()
                for path in ("reward_shaping.goal", "array", "layers", "text"):
                    reader.key(path)()
                with pytest.raises(traincast.MissingKeyError):
                    reader.key("reward_shaping.gaol")()
                reader.key("missing", default=[i])()

        work(300)
        before = resident()
        work(3000)
        assert resident() - before < 3 << 20
