"""Whatever is published comes back, and no reader's dictionary has anything to do with another's."""

from __future__ import annotations

from itertools import combinations, count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshots import STEPS, assert_identical
from strategies import editable, entries, examples, independent, integers, runs, snapshots, spoil

import traincast

numbers = count()


@pytest.fixture
def fresh_name(channel_name: str) -> Any:
    """A new channel name for each example."""
    return lambda: f"{channel_name}-{next(numbers)}"


@examples(300)
@given(snapshot=snapshots())
def test_round_trip(fresh_name: Any, snapshot: dict[Any, Any]) -> None:
    name, expected = fresh_name(), independent(snapshot)
    with traincast.TrainingInfoWriter(name) as writer:
        writer.publish(snapshot)
        assert_identical(traincast.TrainingInfoReader(name).read(), expected)
        assert_identical(writer.state_dict()["training_info"], expected)


@examples(200)
@given(run=runs())
def test_runs_through_one_channel(fresh_name: Any, run: list[dict[Any, Any]]) -> None:
    """Readers that see every snapshot, every other one, and the newest only."""
    name, expected = fresh_name(), independent(run)
    with traincast.TrainingInfoWriter(name) as writer:
        writer.publish(run[0])
        every, some = traincast.TrainingInfoReader(name), traincast.TrainingInfoReader(name)
        for version, snapshot in enumerate(run[1:], 2):
            assert writer.publish(snapshot) == version
            assert_identical(every.read(), expected[version - 1])
            assert every.version == version
            if version % 2:
                assert_identical(some.read(), expected[version - 1])
        assert_identical(traincast.TrainingInfoReader(name).read(), expected[-1])


@examples(200)
@given(first=snapshots(), updates=st.lists(entries, max_size=5))
def test_update_is_a_publish_of_the_merged_dictionary(
    fresh_name: Any, first: dict[Any, Any], updates: list[dict[str, Any]]
) -> None:
    name, model = fresh_name(), dict(first)
    with traincast.TrainingInfoWriter(name) as writer:
        writer.publish(first)
        reader = traincast.TrainingInfoReader(name)
        for version, changes in enumerate(updates, 2):
            model |= changes
            assert writer.update(**changes) == version
            assert_identical(reader.read(), independent(model))


@examples(150)
@given(run=runs(), steps=st.lists(integers, min_size=2, max_size=4))
def test_updates_between_publishes(fresh_name: Any, run: list[dict[Any, Any]], steps: list[int]) -> None:
    """`update` starts from what was published last, however that was."""
    name = fresh_name()
    with traincast.TrainingInfoWriter(name) as writer:
        reader = None
        for snapshot in run:
            writer.publish(snapshot)
            reader = reader or traincast.TrainingInfoReader(name)
            for step in steps:
                writer.update(**{STEPS: step})
                assert_identical(reader.read(), independent({**snapshot, STEPS: step}))


@examples(150)
@given(run=runs())
def test_readers_share_nothing(fresh_name: Any, run: list[dict[Any, Any]]) -> None:
    name = fresh_name()
    with traincast.TrainingInfoWriter(name) as writer:
        writer.publish(run[0])
        readers = [traincast.TrainingInfoReader(name) for _ in range(3)]
        kept = [reader.read() for reader in readers]
        for snapshot in run[1:]:
            writer.publish(snapshot)
            kept += [reader.read() for reader in readers]
        # All are alive, so an id is one object's.
        owned = [
            {id(found) for found in editable(snapshot)} for snapshot in {id(k): k for k in kept}.values()
        ]
        assert all(one.isdisjoint(other) for one, other in combinations(owned, 2))
        for ids, snapshot in zip(owned, kept, strict=False):
            assert len(ids) == len(list(editable(snapshot)))


@examples(150)
@given(run=runs(), data=st.data())
def test_an_edit_spoils_one_dictionary_only(
    fresh_name: Any, run: list[dict[Any, Any]], data: st.DataObject
) -> None:
    name, expected = fresh_name(), independent(run)
    with traincast.TrainingInfoWriter(name) as writer:
        writer.publish(run[0])
        vandal, other, late = (traincast.TrainingInfoReader(name) for _ in range(3))
        held: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        for version, snapshot in enumerate(run, 1):
            if version > 1:
                writer.publish(snapshot)
            readers = data.draw(st.permutations([vandal, other]))
            for reader in readers:
                read = reader.read()
                assert_identical(read, expected[version - 1])
                if reader is vandal:
                    spoil(read)
                else:
                    held.append((read, expected[version - 1]))
            if data.draw(st.booleans()):
                assert_identical(late.read(), expected[version - 1])
        for read, wanted in held:
            assert_identical(read, wanted)


@examples(100)
@given(run=runs())
def test_what_was_published_may_be_edited_afterwards(fresh_name: Any, run: list[dict[Any, Any]]) -> None:
    name = fresh_name()
    with traincast.TrainingInfoWriter(name) as writer:
        reader = None
        for snapshot in run:
            own, expected = independent(snapshot), independent(snapshot)
            writer.publish(own)
            reader = reader or traincast.TrainingInfoReader(name)
            spoil(own)
            assert_identical(reader.read(), expected)
            assert_identical(writer.state_dict()["training_info"], expected)
            writer.update(**{STEPS: 1})
            assert_identical(reader.read(), {**expected, STEPS: 1})
