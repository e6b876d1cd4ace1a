"""The gaps of Sample Factory's own propagation that show in a run: each with its queue and not with ours.

The numbers are those of the list in `traincast.integrations.sample_factory`.
"""

from __future__ import annotations

from typing import Any

import pytest

QUEUE, OURS = "queue", "traincast"
FIRST = {QUEUE: 0, OURS: 3}  # number of each one's first phase in `basic`: train, enjoy, resume
both = pytest.mark.parametrize("how", [QUEUE, OURS])


@both
def test_gap_3_a_reset_sees_what_the_episode_before_was_told(basic: Any, how: str) -> None:
    # The queue at its best: its copies are sent at each report, and arrive at once (all is one process).
    resets = [e for e in basic.phase(FIRST[how], "reset") if e["runner"]]
    assert len(resets) > 20
    late = [e for e in resets if e["steps"] != e["runner"]]
    if how == QUEUE:
        assert len(late) > len(resets) / 3
    else:
        assert late == []


@both
def test_gap_3_delivery_comes_before_the_reset(basic: Any, how: str) -> None:
    events = [e for e in basic.phase(FIRST[how]) if e.get("env") == 0]
    first = [e["kind"] for e in events].index("told")
    resets_before = [e["kind"] for e in events[:first]].count("reset")
    assert resets_before > 0 if how == QUEUE else resets_before == 0


@both
def test_gap_4_early_resets_have_an_empty_dictionary(basic: Any, how: str) -> None:
    empty = [e for e in basic.phase(FIRST[how], "reset") if "approx_total_training_steps" not in e["keys"]]
    assert len(empty) >= 2 if how == QUEUE else empty == []


@both
def test_gap_4_an_evaluation_has_an_empty_dictionary(basic: Any, how: str) -> None:
    resets = basic.phase(FIRST[how] + 1, "reset")
    assert len(resets) >= 3
    steps = {e["steps"] for e in resets}
    trained = max(e["steps"] for e in basic.phase(FIRST[how], "runner"))
    assert steps == {None} if how == QUEUE else steps == {trained}


@both
def test_gap_5_a_resumed_run_starts_with_zero_steps(basic: Any, how: str) -> None:
    trained = max(e["steps"] for e in basic.phase(FIRST[how], "runner"))
    resumed = FIRST[how] + 2
    # The learner did go on from the checkpoint; so did what the runner knows.
    assert trained == min(e["steps"] for e in basic.phase(resumed, "runner"))
    told = [e["steps"] for e in basic.phase(resumed, "told")]
    if how == QUEUE:
        assert told[0] == 0
    else:
        assert min(told) == trained


@both
def test_gap_6_a_shorter_interval_has_no_effect(basic: Any, how: str) -> None:
    # update_training_info_every_sec was set to 0.01 in the resumed run, which reported many times.
    resumed = FIRST[how] + 2
    reports = {e["steps"] for e in basic.phase(resumed, "runner")}
    assert len(reports) > 5
    seen = {e["steps"] for e in basic.phase(resumed, "reset")}
    if how == QUEUE:
        assert len(seen - {None}) == 1
    else:
        assert len(seen) > len(reports) / 2


TEAM = {QUEUE: 0, OURS: 1}
ALONE = {QUEUE: 2, OURS: 3}
policies_of = pytest.mark.parametrize(
    ("how", "phase"),
    [(QUEUE, TEAM[QUEUE]), (OURS, TEAM[OURS]), (QUEUE, ALONE[QUEUE]), (OURS, ALONE[OURS])],
    ids=["team-queue", "team-traincast", "alone-queue", "alone-traincast"],
)


@policies_of
def test_gap_9_an_episode_starts_with_another_policys_information(
    population: Any, how: str, phase: int
) -> None:
    # The worker's own books are open only after the envs were made.
    first_steps = [e for e in population.phase(phase, "first step") if e["acting"] is not None]
    assert len(first_steps) > 20
    assert {policy for e in first_steps for policy in e["acting"]} == {0, 1}
    wrong = [e for e in first_steps if e["agents"] != e["acting"]]
    if how == QUEUE:
        assert wrong
    else:
        assert wrong == []


@both
def test_gap_9_agents_of_different_policies_share_one_dictionary(population: Any, how: str) -> None:
    first_steps = [e for e in population.phase(TEAM[how], "first step") if e["acting"]]
    mixed = [e for e in first_steps if len(set(e["acting"])) == 2]
    assert len(mixed) > 5
    served = [e for e in mixed if e["agents"] == e["acting"]]
    assert served == [] if how == QUEUE else served == mixed


@policies_of
def test_gap_9_rewards_are_shaped_for_another_policy(population: Any, how: str, phase: int) -> None:
    first_steps = [e for e in population.phase(phase, "first step") if e["acting"] is not None]
    pairs = [pair for e in first_steps for pair in zip(e["goals"], e["acting_goals"], strict=True)]
    assert len({goals[-1] for _, goals in pairs}) > 2  # PBT did change the shaping
    foreign = [goal for goal, goals in pairs if goal not in goals]
    if how == QUEUE:
        assert foreign
    else:
        assert foreign == []
        # In one process the message about a change waits its turn; apart from that the shaping is the newest.
        assert sum(goal == goals[-1] for goal, goals in pairs) > 0.9 * len(pairs)
