"""SuperSuit's vector envs of PettingZoo envs: every env of theirs is told, here and in other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import supersuit
from zoo_envs import Pennies

import traincast

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def make(run, copies, processes):
    vector = supersuit.pettingzoo_env_to_vec_env_v1(run.wrap_env(Pennies()))
    return supersuit.concat_vec_envs_v1(vector, copies, num_cpus=processes, base_class="gymnasium")


def seen(observations):
    """The training steps that the last resets knew: two agents for each copy."""
    return np.asarray(observations)[:, 1].astype(int).tolist()


@pytest.mark.parametrize("processes", [0, 2])
def test_every_reset_sees_the_newest(processes):
    with traincast.Run("zoo", start=10) as run:
        envs = make(run, 3, processes)
        try:
            assert seen(envs.reset(seed=0)[0]) == [10] * 6
            run.publish(20)
            for _ in range(2):  # resets by itself
                observations = envs.step(np.zeros(6, int))[0]
            assert seen(observations) == [20] * 6
        finally:
            envs.close()


def test_the_runs_of_a_sweep_do_not_meet():
    runs = [traincast.Run("zoo", start=start) for start in (1, 2)]
    trials = [make(run, 2, 2) for run in runs]
    try:
        assert [seen(envs.reset()[0]) for envs in trials] == [[1] * 4, [2] * 4]
        runs[0].publish(3)
        assert [seen(envs.reset()[0]) for envs in trials] == [[3] * 4, [2] * 4]
    finally:
        for envs, run in zip(trials, runs, strict=True):
            envs.close()
            run.close()


def test_envs_that_replace_killed_ones_see_the_newest():
    with traincast.Run("zoo") as run:
        envs = make(run, 2, 2)
        envs.reset()
        run.publish(10)
        os.kill(envs.procs[1].pid, signal.SIGKILL)
        envs.procs[1].join()
        with pytest.raises((EOFError, OSError)):
            envs.reset()
        envs.close()
        envs = make(run, 2, 2)
        try:
            assert seen(envs.reset()[0]) == [10] * 4
        finally:
            envs.close()


OTHER_METHODS = """
import multiprocessing
from contextlib import closing
if __name__ == "__main__":
    import traincast
    from test_supersuit import make, seen
    for method in ("spawn", "forkserver"):
        multiprocessing.set_start_method(method, force=True)
        with traincast.Run("zoo", start=1) as run, closing(make(run, 2, 2)) as envs:
            told = [seen(envs.reset()[0])]
            run.publish(2)
            told.append(seen(envs.reset()[0]))
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
    told = [[1] * 4, [2] * 4]
    assert done.stdout.splitlines() == [f"spawn {told}", f"forkserver {told}"], done.stderr
