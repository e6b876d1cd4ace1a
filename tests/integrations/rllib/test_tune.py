"""Trials of Ray Tune that share one `env_config`."""

from __future__ import annotations

from pathlib import Path

from ray import tune
from rllib_envs import NotingEnv, notes
from tests.integrations.rllib.conftest import BATCH, Configure

STEPS = "approx_total_training_steps"


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
    assert not [file for file in ray_directory.iterdir() if "@" in file.name]
