"""The arguments of `TrainingInfoCallback`, what evaluations see, and trials of Tune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray import tune
from recordings import channels
from rllib_envs import NotingEnv, notes, steps_in
from tests.integrations.rllib.conftest import BATCH, Configure, eventually

import traincast

STEPS = "approx_total_training_steps"


def test_a_function_gets_the_algorithm_and_its_first_entries_are_there_at_the_first_reset(
    configure: Configure, notes_file: Path
) -> None:
    def more(algorithm: Any) -> dict[str, Any]:
        return {"goal": float(algorithm.iteration), "lr": algorithm.config.lr}

    algo = configure(NotingEnv, training_info=more).build_algo()
    results = [algo.train(), algo.train()]
    algo.stop()
    lr = algo.config.lr
    assert notes(notes_file)[0]["info"] == {STEPS: 0, "goal": 0.0, "lr": lr}
    assert notes(notes_file)[-1]["info"] == {STEPS: BATCH, "goal": 1.0, "lr": lr}
    assert results[-1]["traincast"] == {STEPS: 2.0 * BATCH, "goal": 2.0, "lr": lr}


def test_a_mapping_stays_and_start_counts(configure: Configure, notes_file: Path) -> None:
    algo = configure(NotingEnv, training_info={"goal": 1}, start=1_000).build_algo()
    assert algo.train()["traincast"] == {STEPS: 1_000.0 + BATCH, "goal": 1.0}
    algo.stop()
    assert notes(notes_file)[0]["info"] == {STEPS: 1_000, "goal": 1}


def test_a_run_of_the_callers_stays_open(configure: Configure, notes_file: Path) -> None:
    with traincast.Run("mine", start=500) as run:
        algo = configure(NotingEnv, run=run).build_algo()
        assert algo.callbacks[0].run is run
        algo.train()
        algo.stop()
        algo.callbacks[0]._watch.join()
        assert not run.closed
        assert run.steps == 500 + BATCH
    assert notes(notes_file)[0]["info"] == {STEPS: 500}


def test_arguments_of_the_wrapper_reach_it(configure: Configure) -> None:
    algo = configure(NotingEnv, wrapper_kwargs={"info_key": "curriculum"}).build_algo()
    shown = algo.train()["env_runners"]["curriculum"]
    algo.stop()
    assert shown["version"] >= 1
    assert shown["age"] >= 0


def test_an_exception_of_the_function_is_the_users(configure: Configure) -> None:
    def broken(algorithm: Any) -> dict[str, Any]:
        return {"ratio": 1 / (algorithm.iteration - 1)}

    algo = configure(NotingEnv, training_info=broken).build_algo()
    with pytest.raises(ZeroDivisionError):
        algo.train()
    algo.stop()


def test_what_cannot_work_is_refused_when_the_algorithm_is_built(configure: Configure) -> None:
    with pytest.raises(TypeError, match="must be a mapping, or a function"):
        configure(NotingEnv, training_info=3).build_algo()
    old = configure(NotingEnv).api_stack(
        enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False
    )
    with pytest.raises(ValueError, match="new API stack"):
        old.build_algo()


def test_before_there_is_an_algorithm_there_is_no_run() -> None:
    from traincast.integrations.rllib import TrainingInfoCallback

    with pytest.raises(RuntimeError, match="made with the algorithm"):
        _ = TrainingInfoCallback().run


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


def test_trials_at_the_same_time_do_not_mix_and_leave_nothing(
    configure: Configure, notes_file: Path, tmp_path: Path, ray_directory: Path
) -> None:
    config = configure(NotingEnv)
    config.training(train_batch_size=tune.grid_search([BATCH, 3 * BATCH]))
    tuner = tune.Tuner(
        "PPO",
        param_space=config,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "results"), stop={"training_iteration": 3}, verbose=0
        ),
    )
    results = tuner.fit()
    assert not results.errors
    assert [result.metrics["traincast"][STEPS] for result in results] == [3 * BATCH, 9 * BATCH]
    pids = {event["pid"] for event in notes(notes_file)}
    seen = [
        {event["info"][STEPS] for event in notes(notes_file) if event["pid"] == pid} for pid in sorted(pids)
    ]
    assert sorted(seen, key=max) == [{0, BATCH, 2 * BATCH}, {0, 3 * BATCH, 6 * BATCH}]
    eventually(lambda: not channels(ray_directory))
