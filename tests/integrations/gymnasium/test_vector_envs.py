"""AsyncVectorEnv: start methods, several runs in one process, killed workers, Gymnasium's checker."""

from __future__ import annotations

import importlib.util
import os
import signal

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv
from recording_envs import RecordingEnv
from recordings import EXAMPLES

import traincast

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def known(infos):
    return infos["known_steps"].tolist()


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_the_runs_of_a_sweep_do_not_meet(context, monkeypatch, tmp_path):
    runs, trials = [], []
    for trial in (1, 2):
        # A fork server has the environ of the day on which it was started.
        directory = tmp_path / str(trial)
        monkeypatch.setenv("TRAINCAST_DIR", str(directory))
        runs.append(traincast.Run("sweep", start=100 * trial))
        trials.append(AsyncVectorEnv([runs[-1].wrap_env_fn(RecordingEnv)] * 2, context=context))
    try:
        for published in (None, 1000, 2000):
            for trial, (run, envs) in enumerate(zip(runs, trials, strict=True), 1):
                if published is not None:
                    run.publish(published + trial)
                expected = 100 * trial if published is None else published + trial
                assert known(envs.reset()[1]) == [expected] * 2
    finally:
        for run, envs in zip(runs, trials, strict=True):
            envs.close()
            run.close()


def test_envs_that_replace_killed_ones_see_the_newest():
    with traincast.Run("killed") as run:
        env_fns = [run.wrap_env_fn(RecordingEnv)] * 2
        envs = AsyncVectorEnv(env_fns)
        envs.reset()
        run.publish(10)
        os.kill(envs.processes[1].pid, signal.SIGKILL)
        envs.processes[1].join()
        with pytest.raises((EOFError, OSError)):
            envs.step(np.zeros(2, int))
        envs.close(terminate=True)
        envs = AsyncVectorEnv(env_fns)
        try:
            assert known(envs.reset()[1]) == [10, 10]
        finally:
            envs.close()


def test_a_partial_reset_leaves_the_other_envs_alone():
    with traincast.Run("partial", start=1) as run:
        envs = AsyncVectorEnv([run.wrap_env_fn(RecordingEnv)] * 2, autoreset_mode="Disabled")
        try:
            assert known(envs.reset()[1]) == [1, 1]
            run.publish(2)
            infos = envs.reset(options={"reset_mask": np.array([False, True])})[1]
            assert infos["known_steps"].tolist() == [0, 2]
            assert infos["_known_steps"].tolist() == [False, True]
        finally:
            envs.close()


def test_gymnasiums_checker_passes():
    spec = importlib.util.spec_from_file_location("gymnasium_vector", EXAMPLES / "gymnasium_vector.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with traincast.Run("checked") as run:
        check_env(run.wrap_env(example.make_env()), skip_render_check=True)
        check_env(
            run.wrap_eval_env(example.make_env(), {"approx_total_training_steps": 5}), skip_render_check=True
        )


def test_a_vector_env_that_is_wrapped_from_outside_says_what_to_do():
    with traincast.Run("outside") as run:
        envs = run.wrap_env(AsyncVectorEnv([RecordingEnv] * 2))
        try:
            with pytest.warns(traincast.TraincastWarning, match="run.wrap_env_fn"):
                envs.reset()
        finally:
            envs.close()
