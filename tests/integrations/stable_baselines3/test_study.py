"""The study's trainings with PPO: what each way promises."""

from __future__ import annotations

from itertools import pairwise

from study_jobs import outcome_of

ROLLOUT = 8 * 128  # env steps


def test_by_traincast_no_reset_is_stale():
    outcome = outcome_of("ppo", "traincast", budget=9_000)
    assert len(outcome["promotions"]) >= 2
    assert outcome["stale_resets"] == 0
    assert outcome["stale_steps"] > 0  # of the episodes that ran when a level ended


def test_by_env_method_a_level_lasts_at_least_until_the_rollout_ends():
    outcome = outcome_of("ppo", "envmethod", budget=9_000)
    assert len(outcome["promotions"]) >= 2
    assert outcome["stale_resets"] > 0
    rollouts = [(steps - 1) // ROLLOUT for steps in outcome["promotions"]]
    assert len(set(rollouts)) == len(rollouts)


def test_a_delay_is_the_stated_number_of_env_steps():
    outcome = outcome_of("ppo", "delay-3000", budget=12_000)
    assert len(outcome["promotions"]) >= 2
    assert outcome["stale_resets"] > 0
    assert all(later - earlier >= 3_000 for earlier, later in pairwise(outcome["promotions"]))


def test_windows_are_each_envs_own():
    outcome = outcome_of("ppo", "windows-4", budget=2_000)
    assert outcome["promotions"] == []
    assert outcome["stale_resets"] == 0
