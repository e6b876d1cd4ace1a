"""The rule that moves a level: thresholds, hysteresis, minimum stay, bounds, state."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traincast.curriculum import PerformanceLevel


def record(level, *results):
    return [level.record(result) for result in results]


def test_the_level_rises_when_the_average_reaches_the_threshold():
    level = PerformanceLevel(promote_at=0.5, window=4)
    assert record(level, 1, 0, 0, 1) == [0, 0, 0, 1]
    assert level.level == 1


def test_the_level_falls_when_the_average_falls_to_the_threshold():
    level = PerformanceLevel(promote_at=0.9, demote_at=0.25, window=4, level=5)
    assert record(level, 1, 0, 0, 0) == [0, 0, 0, -1]
    assert level.level == 4


def test_between_the_thresholds_the_level_stays():
    level = PerformanceLevel(promote_at=0.8, demote_at=0.2, window=2, level=5)
    assert record(level, *[0.5] * 50) == [0] * 50
    assert (level.level, level.episodes, level.average) == (5, 50, 0.5)


def test_the_level_never_falls_without_a_threshold():
    level = PerformanceLevel(promote_at=0.8, window=1, level=5)
    assert record(level, *[-1e9] * 10) == [0] * 10


def test_only_the_last_episodes_count():
    level = PerformanceLevel(promote_at=1.0, window=3)
    assert record(level, 0, 0, 0, 1, 1, 1) == [0, 0, 0, 0, 0, 1]


def test_a_new_level_starts_without_results():
    level = PerformanceLevel(promote_at=1.0, window=2)
    record(level, 1, 1)
    assert (level.level, level.episodes, level.average) == (1, 0, None)
    assert record(level, 1, 1) == [0, 1]


def test_the_average_that_changed_the_level_can_still_be_told():
    level = PerformanceLevel(promote_at=1.0, window=2)
    assert level.last_average is None
    record(level, 1, 3)
    assert (level.level, level.average, level.last_average) == (1, None, 2.0)
    record(level, 0.5)
    assert level.average == level.last_average == 0.5


def test_fewer_episodes_than_the_window_can_be_enough():
    level = PerformanceLevel(promote_at=1.0, window=10, min_episodes=2)
    assert record(level, 1, 1, 1, 1) == [0, 1, 0, 1]


def test_more_episodes_than_the_window_can_be_required():
    level = PerformanceLevel(promote_at=1.0, window=1, min_episodes=3)
    assert record(level, 1, 1, 1) == [0, 0, 1]


def test_lower_results_can_be_better():
    level = PerformanceLevel(promote_at=10, demote_at=100, window=1, level=1, higher_is_better=False)
    assert record(level, 50, 10, 9, 100, 101) == [0, 1, 1, -1, -1]


def test_the_level_stays_within_its_bounds():
    level = PerformanceLevel(promote_at=1, demote_at=0, window=1, min_level=-1, max_level=1, level=0)
    assert record(level, 1, 1, 1) == [1, 0, 0]
    assert record(level, 0, 0, 0, 0) == [-1, -1, 0, 0]


def test_the_level_begins_at_the_lowest():
    assert PerformanceLevel(promote_at=1).level == 0
    assert PerformanceLevel(promote_at=1, min_level=3).level == 3
    assert PerformanceLevel(promote_at=1, min_level=3, level=7).level == 7


def test_bounds_that_move_take_the_level_along_when_it_settles():
    level = PerformanceLevel(promote_at=1, window=1, level=5)
    level.max_level = 3.9
    assert level.level == 5
    assert level.settle() == level.level == 3
    level.min_level, level.max_level = 6.1, math.inf
    assert level.settle() == 7
    level.min_level = 0
    assert level.settle() == 7


def test_a_level_that_is_set_forgets_results_only_if_it_changes():
    level = PerformanceLevel(promote_at=10, window=5)
    record(level, 1, 2)
    level.level = 0
    assert level.average == 1.5
    level.level = 4
    assert (level.level, level.average) == (4, None)


def test_the_state_can_be_saved_as_json_and_restored():
    level = PerformanceLevel(promote_at=1, demote_at=-1, window=3)
    record(level, 1, 1, 1, 0.5, 1)
    twin = PerformanceLevel(promote_at=1, demote_at=-1, window=3)
    twin.load_state_dict(json.loads(json.dumps(level.state_dict())))
    assert twin.state_dict() == level.state_dict() == {"level": 1, "episodes": 2, "results": [0.5, 1.0]}
    assert record(level, 1.5) == record(twin, 1.5) == [1]


def test_a_restored_level_respects_todays_bounds_and_window():
    level = PerformanceLevel(promote_at=1, window=2, max_level=3)
    level.load_state_dict({"level": 9, "episodes": 7, "results": [1, 2, 3, 4]})
    assert (level.level, level.average) == (3, None)
    level.load_state_dict({"level": 3, "episodes": 7, "results": [1, 2, 3, 4]})
    assert (level.level, level.episodes, level.average) == (3, 7, 3.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, "window must be at least 1, not 0"),
        ({"min_episodes": 0}, "min_episodes must be at least 1, not 0"),
        ({"demote_at": 1}, "must be below promote_at"),
        ({"demote_at": 2}, "must be below promote_at"),
        ({"demote_at": 0, "higher_is_better": False}, "must be above promote_at"),
        ({"promote_at": math.nan}, "promote_at must be a number"),
        ({"demote_at": math.nan}, "hysteresis"),
        ({"min_level": 2, "max_level": 1}, r"no level within 2\.\.\.1"),
        ({"min_level": 1.2, "max_level": 1.8}, "no level within"),
        ({"level": 5, "max_level": 4}, r"level 5 is not within 0\.\.\.4"),
        ({"level": -1}, "level -1 is not within"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PerformanceLevel(**({"promote_at": 1} | arguments))


def test_nonsense_later_is_refused_and_changes_nothing():
    level = PerformanceLevel(promote_at=1, demote_at=0)
    for result in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            level.record(result)
    assert level.average is None
    level.demote_at = 3
    with pytest.raises(ValueError, match="below promote_at"):
        level.record(1.0)
    level.demote_at = 0
    level.max_level = -1
    with pytest.raises(ValueError, match="no level within"):
        level.settle()
    level.max_level = 5
    level.record(0.5)
    for state in ({}, {"level": 1, "episodes": 3}, {"level": 2, "episodes": 3, "results": [1, "x"]}):
        with pytest.raises((KeyError, ValueError)):
            level.load_state_dict(state)
    assert level.state_dict() == {"level": 0, "episodes": 1, "results": [0.5]}


def test_the_repr_shows_level_bounds_and_average():
    assert repr(PerformanceLevel(promote_at=1, max_level=4)) == "<PerformanceLevel 0 of 0...4, average None>"


results = st.lists(st.floats(-10, 10), max_size=200)


@given(results, st.integers(1, 5), st.integers(1, 8), st.integers(0, 3), st.integers(3, 6))
def test_a_level_stays_within_bounds_and_moves_one_step_in_due_time(results, window, min_episodes, low, high):
    """Bounds hold, steps are of one level, and no level is left before its time."""
    level = PerformanceLevel(
        promote_at=1, demote_at=-1, window=window, min_episodes=min_episodes, min_level=low, max_level=high
    )
    stayed, last = 0, []
    for result in results:
        before = level.level
        change = level.record(result)
        stayed, last = stayed + 1, [*last, result][-window:]
        assert low <= level.level <= high
        assert level.level == before + change
        average = sum(last) / len(last)
        assert change in (-1, 0, 1)
        if change:
            assert stayed >= min_episodes
            assert average * change == pytest.approx(max(1.0, average * change), abs=1e-9)
            stayed, last = 0, []


@given(results, st.integers(0, 200))
def test_saving_anywhere_changes_nothing(results, cut):
    def make():
        return PerformanceLevel(promote_at=1, demote_at=-1, window=3)

    whole, first, second = make(), make(), make()
    changes = record(whole, *results)
    before = record(first, *results[:cut])
    second.load_state_dict(first.state_dict())
    assert before + record(second, *results[cut:]) == changes
