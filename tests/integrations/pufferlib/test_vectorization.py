"""PufferLib: native envs that reset themselves, start methods, killed workers, strict warnings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from contextlib import closing
from pathlib import Path

import gymnasium
import numpy as np
import pufferlib
import pufferlib.emulation
import pufferlib.vector
import pytest
from recording_envs import STEPS, PlainEnv

import traincast

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class Told(PlainEnv):
    """Its observations are the steps that it knew at its last reset."""

    known = -1

    def set_training_info(self, training_info):
        self.known = training_info[STEPS]

    def _observation(self):
        return np.array([self.difficulty], np.float32)

    def reset(self, *, seed=None, options=None):
        self.difficulty = self.known
        return super().reset(seed=seed, options=options)


def make_told(run, buf=None, seed=0):
    return pufferlib.emulation.GymnasiumPufferEnv(run.wrap_env(Told(length=2)), buf=buf)


class Native(pufferlib.PufferEnv):
    """Three envs in one object, which resets them in `step`, and reads the run itself."""

    def __init__(self, run, buf=None, seed=0):
        self.single_observation_space = gymnasium.spaces.Box(-1, 1e6, (1,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(2)
        self.num_agents = 3
        super().__init__(buf)
        self.read_training_info = run.channel.open().read_if_changed
        self.known = -1

    def poll(self):
        if (training_info := self.read_training_info()) is not None:
            self.known = training_info[STEPS]

    def reset(self, seed=None):
        self.poll()
        self.observations[:] = self.known
        return self.observations, []

    def step(self, actions):
        self.poll()
        self.observations[:] = self.known
        return self.observations, self.rewards, self.terminals, self.truncations, []

    def close(self):
        pass


def vectorise(make, run, workers=2, envs=4):
    return pufferlib.vector.make(
        make,
        env_kwargs={"run": run},
        backend=pufferlib.vector.Multiprocessing,
        num_envs=envs,
        num_workers=workers,
        overwork=True,
    )


def seen(observations):
    return observations.ravel().astype(int).tolist()


def seen_next(envs):
    """After two steps and one that resets; PufferLib hangs at a reset() that follows another at once."""
    for _ in range(3):
        observations = envs.step(np.zeros(envs.num_envs, np.int32))[0]
    return seen(observations)


def test_every_reset_sees_the_newest():
    with traincast.Run("puffer", start=1) as run, closing(vectorise(make_told, run)) as envs:
        assert seen(envs.reset()[0]) == [1] * 4
        for steps in (2, 3):
            run.publish(steps)
            assert seen_next(envs) == [steps] * 4


@pytest.mark.parametrize("workers", [1, 2])
def test_a_native_env_polls_in_its_steps(workers):
    with traincast.Run("puffer", start=1) as run, closing(vectorise(Native, run, workers, 2)) as envs:
        assert seen(envs.reset()[0]) == [1] * 6
        run.publish(2)
        assert seen(envs.step(np.zeros(6, np.int32))[0]) == [2] * 6


def test_the_runs_of_a_sweep_do_not_meet():
    with (
        traincast.Run("puffer", start=1) as one,
        traincast.Run("puffer", start=2) as other,
        closing(vectorise(make_told, one)) as its,
        closing(vectorise(make_told, other)) as others,
    ):
        assert (seen(its.reset()[0]), seen(others.reset()[0])) == ([1] * 4, [2] * 4)
        one.publish(3)
        assert (seen_next(its), seen_next(others)) == ([3] * 4, [2] * 4)


def test_envs_that_replace_killed_ones_see_the_newest():
    with traincast.Run("puffer") as run:
        with closing(vectorise(make_told, run)) as envs:
            envs.reset()
            run.publish(10)
            os.kill(envs.processes[1].pid, signal.SIGKILL)  # PufferLib would wait for it for ever
        with closing(vectorise(make_told, run)) as envs:
            assert seen(envs.reset()[0]) == [10] * 4


def test_our_warnings_are_no_errors_where_runtime_warnings_are():
    with traincast.Run("puffer") as run, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.filterwarnings("error", category=RuntimeWarning)  # as pufferlib.pufferl does at its import
        env = pufferlib.emulation.GymnasiumPufferEnv(run.wrap_env(PlainEnv()))
        env.reset(seed=0)
    assert any(issubclass(one.category, traincast.TraincastWarning) for one in said)


def test_a_native_env_is_refused_with_the_remedy():
    with traincast.Run("puffer") as run, pytest.raises(TypeError, match="TrainingInfoReader"):
        run.wrap_env(Native(run))


OTHER_METHODS = """
import multiprocessing
from contextlib import closing
if __name__ == "__main__":
    import traincast
    from test_vectorization import make_told, seen, seen_next, vectorise
    for method in ("spawn", "forkserver"):
        multiprocessing.set_start_method(method, force=True)
        with traincast.Run("puffer", start=1) as run, closing(vectorise(make_told, run, 1, 2)) as envs:
            told = [seen(envs.reset()[0])]
            run.publish(2)
            told.append(seen_next(envs))
        print(method, told)
"""


def test_every_other_start_method_sees_the_newest(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(OTHER_METHODS)
    folders = [Path(__file__).parent, Path(__file__).parents[2] / "support"]
    done = subprocess.run(
        [sys.executable, program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=False,
    )
    told = [[1] * 2, [2] * 2]
    assert done.stdout.splitlines() == [f"spawn {told}", f"forkserver {told}"], done.stderr
