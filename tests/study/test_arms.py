"""What the arms of the study promise, with real workers."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from itertools import pairwise
from pathlib import Path

import pytest
from benches.study.training import Outcome, train
from benches.study.worker import IN_FLIGHT, TURN

WORKERS, ENVS = 2, 4
AHEAD = WORKERS * ENVS * TURN * IN_FLIGHT
"""How many env steps workers take at most while the learner acts on one message."""


def trained(arm: str, budget: int = 60_000, **options) -> Outcome:
    options = {"gate": 4, "budget": budget, "workers": WORKERS, "envs": ENVS, "traced": True} | options
    return train("lock", arm, 5, **options)


@pytest.mark.parametrize("arm", ["traincast", "value", "placebo", "stalled-20"])
def test_a_fresh_arm_never_resets_at_a_stale_level(arm):
    outcome = trained(arm)
    assert len(outcome.promotions) >= 5
    assert outcome.stale_resets == 0
    assert all(level >= held for _, level, held in outcome.trace)
    assert outcome.stale_steps > 0  # of the episodes that ran when a level ended


@pytest.mark.parametrize("lag", [1_000, 4_000])
def test_a_delay_is_exactly_the_stated_number_of_env_steps(lag):
    assert lag > AHEAD
    outcome = trained(f"delay-{lag}")
    assert len(outcome.promotions) >= 5
    for now, level, _ in outcome.trace:
        assert level == bisect_right(outcome.promotions, now - lag)
    # No episode at a stale level opens the gate.
    assert all(later - earlier >= lag for earlier, later in pairwise(outcome.promotions))


def test_levels_wait_for_the_end_of_a_rollout():
    steps = 4_096
    outcome = trained(f"rollouts-{steps}")
    assert len(outcome.promotions) >= 5
    for now, level, _ in outcome.trace:
        boundary = now - now % steps
        # A level of the last moment before the boundary may be told a moment after it.
        earlier = bisect_right(outcome.promotions, boundary - AHEAD)
        assert earlier <= level <= bisect_right(outcome.promotions, boundary)


def test_late_results_hold_each_promotion_back_by_the_stated_number_of_env_steps():
    lag = 3_000
    outcome = trained(f"results-{lag}")
    assert len(outcome.promotions) >= 5
    assert outcome.stale_resets == 0
    assert all(later - earlier >= lag for earlier, later in pairwise([0, *outcome.promotions]))


def test_a_timer_tells_nothing_before_its_time():
    outcome = trained("timer-3600000", 20_000)
    assert len(outcome.promotions) == 1  # nobody plays level 1
    assert {level for _, level, _ in outcome.trace} == {0}


def test_stale_steps_are_those_of_episodes_behind_the_learner():
    """One env: an episode lasts from a reset to the next, so its steps can be counted again."""
    outcome = trained("delay-4000", workers=1, envs=1)
    resets = [now for now, _, _ in outcome.trace]
    last = TURN * IN_FLIGHT  # steps that the worker makes while the learner ends, counted and not traced
    assert 0 <= outcome.resets - len(resets) <= last
    assert resets == sorted(resets)
    assert 0 <= outcome.stale_resets - sum(level < held for _, level, held in outcome.trace) <= last
    assert outcome.stale_resets > 0
    surely = possibly = 0
    for (begin, level, _), (end, _, _) in pairwise([*outcome.trace, (outcome.steps, 0, 0)]):
        if level < len(outcome.promotions):
            ended = outcome.promotions[level]  # when the learner left the level of this episode
            surely += max(end - max(begin, ended + TURN * IN_FLIGHT), 0)
            possibly += max(end - max(begin, ended - 1), 0)
    assert 0 < surely - last <= outcome.stale_steps <= possibly + last
    assert possibly - surely < possibly / 20


def test_a_schedule_follows_the_steps_and_needs_no_scoreboard():
    files: list[str] = []

    def progress(steps: int, level: int) -> None:
        files.extend(os.listdir(Path(os.environ["TRAINCAST_DIR"])))

    steps, lag = 20_000, 4_000
    outcome = trained(f"schedule-{steps}-{lag}", 40_000, progress=progress)
    assert files
    assert not any(name.endswith(".scores") for name in files)
    assert outcome.promotions == []
    for now, level, _ in outcome.trace:
        assert level <= max(now - lag, 0) * 19 // steps
        assert level >= min(max(now - AHEAD - lag, 0) * 19 // steps, 19)

    trained("traincast", 5_000, progress=progress)
    assert any(name.endswith(".scores") for name in files)


def test_windows_climb_without_a_learner_that_tells_and_no_curriculum_begins_at_the_top():
    levels = [level for _, level, _ in trained("windows-2").trace]
    assert levels[0] == 0
    assert max(levels) >= 3
    assert any(later < earlier for earlier, later in pairwise(levels))  # each env has its own
    assert {level for _, level, _ in trained("none", 5_000).trace} == {19}


def test_a_stated_speed_is_not_exceeded():
    rate = 10_000
    outcome = trained("traincast", 10_000, rate=rate)
    assert outcome.steps - AHEAD <= outcome.seconds * rate


def test_the_whole_lock_is_solved_fresh_in_fewer_steps_than_late():
    fresh, late = (train("lock", arm, 1, gate=8) for arm in ("traincast", "delay-10000"))
    assert fresh.solved
    assert late.solved
    assert len(fresh.promotions) == len(late.promotions) == 19
    assert late.steps > fresh.steps
    assert bisect_left(late.promotions, fresh.promotions[-1]) < 19


def test_an_unknown_arm_is_refused():
    with pytest.raises(ValueError, match="there is no arm 'telepathy-3'"):
        trained("telepathy-3")
