"""The study's arm with Sample Factory's own queue."""

from __future__ import annotations

from study_jobs import outcome_of


def test_levels_come_with_sample_factorys_timer_and_not_before():
    outcome = outcome_of("lock", "samplefactory", rate=2_000, budget=24_000)
    assert outcome["steps"] >= 24_000
    assert outcome["stale_resets"] > 0
    assert len(outcome["promotions"]) >= 2  # the second one needs a message
    assert len(outcome["promotions"]) <= outcome["seconds"] // 5 + 1
