"""`run_rl(cfg, curriculum)`: all envs move one level, in worker processes, resumed, and for each policy."""

from __future__ import annotations

from typing import Any

import pytest
from climbing import LEVELS, WINDOW, tallies

from traincast.curriculum import PooledCurriculum
from traincast.integrations.sample_factory import TrainingInfoObserver

PARALLEL = "--serial_mode=False --async_rl=True --num_workers=2 --num_envs_per_worker=2 --worker_num_splits=2"


@pytest.fixture(scope="module")
def log(run_phases: Any) -> Any:
    """A training with worker processes, then the same one resumed; then one with two policies."""
    one = ["--env=levels", "--experiment=one", *PARALLEL.split()]
    two = ["--env=levels", "--experiment=two", "--num_policies=2", "--num_batches_to_accumulate=20"]
    two.append("--train_for_env_steps=1200")
    phases = [
        {
            "do": "train",
            "how": "traincast",
            "curricula": ["pooled"],
            "argv": [*one, "--train_for_env_steps=1500"],
        },
        {
            "do": "train",
            "how": "traincast",
            "curricula": ["pooled"],
            "argv": [*one, "--train_for_env_steps=2500"],
        },
        {"do": "train", "how": "traincast", "curricula": ["pooled", "sampler"], "argv": two},
    ]
    return run_phases("pooled", phases)


def states(log: Any, phase: int) -> list[dict[str, Any]]:
    (event,) = log.phase(phase, "curricula")
    return event["states"]


def check(state: dict[str, Any]) -> None:
    assert state["rule"]["level"] == LEVELS - 1
    for level, (episodes, successes, returns) in enumerate(tallies(state)):
        assert episodes >= WINDOW
        assert successes == episodes
        assert returns == pytest.approx(level * episodes)


def test_the_level_rises_with_the_results_of_all_envs_and_reaches_them(log: Any) -> None:
    (state,) = states(log, 0)
    check(state)


def test_a_resumed_training_goes_on_with_the_level_and_all_counts(log: Any) -> None:
    (before,), (after,) = states(log, 0), states(log, 1)
    check(after)
    assert tallies(after)[:-1] == tallies(before)[:-1]
    assert tallies(after)[-1][0] > tallies(before)[-1][0]


def test_each_policy_has_a_curriculum_of_its_own(log: Any) -> None:
    level, sampled = states(log, 2)
    check(level)
    assert sampled["rule"]["seen"] == [True] * LEVELS
    assert sampled["rule"]["episodes"] == sum(episodes for episodes, _, _ in tallies(sampled))


def test_one_curriculum_for_two_policies_is_refused(configuration: Any) -> None:
    class Runner:
        cfg = configuration("--env=levels", "--num_policies=2")

    observer = TrainingInfoObserver(PooledCurriculum(levels=3, promote_at=1.0))
    with pytest.raises(ValueError, match="2 policies, but training_info has curricula for 1"):
        observer.on_init(Runner())
