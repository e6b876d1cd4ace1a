"""`run_rl`: Sample Factory's training run, whose envs get training information from shared memory."""

from __future__ import annotations

from typing import Any

from sample_factory.algo.utils.misc import ExperimentStatus
from sample_factory.train import make_runner

from traincast.integrations.sample_factory.observer import ExtraInfo, TrainingInfoObserver

__all__ = ["run_rl"]


def run_rl(cfg: Any, training_info: ExtraInfo | None = None) -> int:
    """Train as `sample_factory.train.run_rl(cfg)` does, with a `TrainingInfoObserver` on the runner.

    Args:
        cfg: Sample Factory's configuration.
        training_info: `training_info(runner, policy_id)` returns keys to add to what the envs of that policy
            receive. It is called in the runner's process at each report of a learner, so it should be quick.
            Or one curriculum or several, as for `TrainingInfoObserver`.

    Returns:
        Sample Factory's `ExperimentStatus`: 0 for success, 1 for a failure, 2 if it was interrupted.
    """
    cfg, runner = make_runner(cfg)
    observer = TrainingInfoObserver(training_info)
    runner.register_observer(observer)
    try:
        status: int = runner.init()
        if status == ExperimentStatus.SUCCESS:
            status = runner.run()
        return status
    finally:
        observer.close()
