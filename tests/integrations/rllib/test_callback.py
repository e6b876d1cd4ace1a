"""The arguments of `TrainingInfoCallback`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rllib_envs import NotingEnv, notes
from tests.integrations.rllib.conftest import BATCH, Configure

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

    with pytest.raises(RuntimeError, match="made when the algorithm is"):
        _ = TrainingInfoCallback().run
