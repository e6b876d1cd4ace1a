"""What the envs of an evaluation see: one value that stays, and is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rllib_envs import NotingEnv, notes, steps_in
from tests.integrations.rllib.conftest import BATCH, Configure

import traincast

STEPS = "approx_total_training_steps"


def evaluated(config: Any, tmp_path: Path, **options: Any) -> Any:
    """With one evaluation in each iteration, in envs that write notes of their own."""
    overrides = {"env_config": {"notes": str(tmp_path / "evaluation.jsonl")}}
    return config.evaluation(
        evaluation_interval=1, evaluation_duration=2, evaluation_config=overrides, **options
    )


@pytest.mark.parametrize("runners", [0, 1])
def test_they_keep_what_was_newest_at_the_first_evaluation(
    configure: Configure, notes_file: Path, tmp_path: Path, runners: int
) -> None:
    config = evaluated(configure(NotingEnv), tmp_path, evaluation_num_env_runners=runners)
    algo = config.build_algo()
    results = [algo.train() for _ in range(3)]
    algo.stop()
    assert set(steps_in(tmp_path / "evaluation.jsonl")) == {BATCH}
    assert [result["evaluation"]["traincast"][STEPS] for result in results] == [BATCH] * 3
    assert set(steps_in(notes_file)) == {0, BATCH, 2 * BATCH}


def test_they_see_what_is_given(configure: Configure, tmp_path: Path) -> None:
    given = {STEPS: 1_000_000, "reward_shaping": {"goal": 1.0}}
    algo = evaluated(configure(NotingEnv, evaluation_info=given), tmp_path).build_algo()
    result = algo.train()
    algo.stop()
    assert [event["info"] for event in notes(tmp_path / "evaluation.jsonl")] == [given] * len(
        notes(tmp_path / "evaluation.jsonl")
    )
    assert result["evaluation"]["traincast"] == {STEPS: 1_000_000.0, "reward_shaping.goal": 1.0}


def test_an_evaluation_before_any_training_says_what_it_froze(configure: Configure, tmp_path: Path) -> None:
    algo = evaluated(configure(NotingEnv), tmp_path).build_algo()
    with pytest.warns(traincast.TraincastWarning, match="at the start of the training"):
        algo.evaluate()
    algo.stop()
    assert set(steps_in(tmp_path / "evaluation.jsonl")) == {0}


def test_an_evaluation_in_the_envs_of_the_training_says_so(configure: Configure) -> None:
    algo = configure(NotingEnv).evaluation(evaluation_duration=1).build_algo()
    algo.train()
    with pytest.warns(traincast.TraincastWarning, match="runs in the envs of the training"):
        algo.evaluate()
    algo.stop()


def test_a_given_value_without_steps_is_refused_at_once(configure: Configure) -> None:
    with pytest.raises(traincast.MissingKeyError, match="evaluation_info lacks"):
        configure(NotingEnv, evaluation_info={"goal": 1}).build_algo()
