"""A reader answers each question from one read, and cannot be taken for a mapping or an iterable."""

from __future__ import annotations

import copy
from typing import Any, TypedDict

import pytest
from snapshots import STEPS, info

import traincast


class Info(TypedDict):
    approx_total_training_steps: int
    level: float


@pytest.fixture
def writer(channel_name: str) -> Any:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 5, 0: "x", 1: "y", "none": None})
        yield writer


def test_len_in_and_get_look_up_keys_as_in_a_mapping(writer: traincast.TrainingInfoWriter) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    assert len(reader) == 4
    assert STEPS in reader
    assert 0 in reader
    assert "missing" not in reader
    assert reader.get(STEPS) == reader.get(key=STEPS, default=1) == 5
    assert reader.get("missing") is None
    assert reader.get("missing", 7) == 7
    assert reader.get("none", 7) is None
    for look in (reader.__contains__, reader.get):
        with pytest.raises(TypeError, match="unhashable"):
            look([])


def test_each_lookup_sees_the_newest_snapshot(writer: traincast.TrainingInfoWriter) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    writer.publish(info(a=1))
    assert "a" in reader
    assert reader.version == 2
    writer.publish(info(b=1, c=2))
    assert len(reader) == 3
    assert reader.version == 3
    writer.publish(info(d=4))
    assert reader.get("d") == 4
    assert not reader.changed()


def test_a_lookup_hands_out_the_dictionary_as_read_does(writer: traincast.TrainingInfoWriter) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    before = reader.read()
    before["mine"] = 1
    assert "mine" in reader  # the same object while nothing changed, as for read
    assert len(reader) == len(before)


@pytest.mark.parametrize(
    "iterate",
    [
        iter,
        list,
        tuple,
        set,
        dict,
        sorted,
        enumerate,
        lambda reader: [*reader],
        lambda reader: {}.update(reader),
        lambda reader: map(str, reader),
        lambda reader: next(iter(zip(reader, reader, strict=True))),
    ],
)
def test_iterating_names_read(writer: traincast.TrainingInfoWriter, iterate: Any) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    with pytest.raises(TypeError, match=r"reader\.read\(\)"):
        iterate(reader)
    assert reader.version == 0


def test_it_has_no_other_method_of_a_mapping(writer: traincast.TrainingInfoWriter) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    for name in ("keys", "values", "items", "__reversed__", "__setitem__"):
        assert not hasattr(reader, name)
    for unpack in (lambda: dict(**reader), lambda: {**reader}):  # the words are Python's
        with pytest.raises(TypeError, match="mapping"):
            unpack()
    with pytest.raises(TypeError):
        reversed(reader)
    match reader:
        case {"none": _} | [*_]:
            pytest.fail("it is no pattern's mapping or sequence")
        case _:
            pass
    assert reader.version == 0


def test_truth_equality_and_hash_never_read(channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name, required=()) as writer:
        writer.publish({})
        reader, other = traincast.TrainingInfoReader(channel_name), traincast.TrainingInfoReader(channel_name)
        assert bool(reader) is True
        assert reader == reader
        assert reader != other
        assert reader != {}
        assert len({reader, other, reader}) == 2
        assert reader.version == other.version == 0
        assert len(reader) == 0
        assert bool(reader) is True
        reader.close()
        assert bool(reader) is True
        assert hash(reader) == hash(reader)


@pytest.mark.parametrize("look", [len, lambda r: "a" in r, lambda r: r.get("a"), lambda r: r["a"]])
def test_a_closed_reader_says_so(writer: traincast.TrainingInfoWriter, look: Any) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    reader.read()
    reader.close()
    with pytest.raises(traincast.ChannelClosedError):
        look(reader)


def test_repr_says_which_channel_and_does_not_read(writer: traincast.TrainingInfoWriter) -> None:
    reader = traincast.TrainingInfoReader(writer.name)
    assert repr(reader) == f'<TrainingInfoReader "{writer.name}" policy_id=0 version=0, epoch=0>'
    assert repr(writer) == f'<TrainingInfoWriter "{writer.name}" policy_id=0 version=1, epoch=1>'
    reader.close()
    assert repr(reader) == f'<TrainingInfoReader "{writer.name}" policy_id=0 closed>'
    writer.close()
    assert repr(writer) == f'<TrainingInfoWriter "{writer.name}" policy_id=0 version=1, epoch=1 closed>'


def test_a_type_parameter_changes_nothing(writer: traincast.TrainingInfoWriter) -> None:
    reader = traincast.TrainingInfoReader[Info](writer.name)
    assert type(reader) is traincast.TrainingInfoReader
    assert reader.read()["approx_total_training_steps"] == 5
    assert copy.copy(reader)[STEPS] == 5
    alias = traincast.TrainingInfoReader[Info]
    assert (alias.__origin__, alias.__args__) == (traincast.TrainingInfoReader, (Info,))
    assert alias == traincast.TrainingInfoReader[Info]


def test_an_interface_with_a_type_parameter_is_the_interface() -> None:
    class Env(traincast.TrainingInfoInterface[Info]):
        pass

    env = Env()
    assert Env.__mro__ == (Env, traincast.TrainingInfoInterface, object)
    assert traincast.find_training_info_interface(env) is env

    class Duck:
        def set_training_info(self, training_info: Info) -> None: ...

    duck = Duck()
    assert traincast.find_training_info_interface(duck) is duck  # type: ignore[comparison-overlap]
