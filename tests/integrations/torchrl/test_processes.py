"""Envs in other processes: collectors, start methods, workers that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from recordings import RECORDER, Program, channels
from torchrl.envs import ParallelEnv
from torchrl_trainers import NativeEnv

from traincast.integrations.torchrl import TrainingInfoHook

HERE = Path(__file__).parent
SUPPORT = [str(HERE), str(HERE.parents[1] / "support")]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    place = tmp_path_factory.mktemp("channels")
    place.chmod(0o700)
    program = Program(HERE / "collecting.py", tmp_path_factory.mktemp("program"))
    path = os.pathsep.join([str(RECORDER), *SUPPORT])
    return program.run(TRAINCAST_DIR=str(place), PYTHONPATH=path), channels(place)


def test_envs_of_collectors_with_processes_see_the_newest(collected):
    recording, left = collected
    assert [line for line in recording.output.splitlines() if line.startswith("trained")] == [
        "trained 600 frames, 600 in all",
        "trained 600 frames, 1200 in all",
    ]
    recording.check(updates=10)
    assert len(recording.processes) == 6
    assert left == set()


def test_what_went_wrong_in_a_worker_is_seen_though_torchrl_ignores_warnings_there(collected):
    recording, _ = collected
    assert recording.output.count("reached nobody") == 2  # one for each process


def known(env):
    return env.reset()["observation"].flatten().tolist()


def test_spawned_workers_see_the_newest():
    hook = TrainingInfoHook()
    env = ParallelEnv(1, hook.wrap_env_fn(NativeEnv), mp_start_method="spawn")
    assert known(env) == [0]
    hook.run.publish(3)
    assert known(env) == [3]
    env.close()
    hook.run.close()


def test_a_sweep_in_one_process_whose_fork_server_has_an_older_environ(tmp_path, monkeypatch):
    multiprocessing.set_forkserver_preload(["torchrl.envs"])
    told = []
    for trial in (1, 2):
        place = tmp_path / f"channels-{trial}"
        place.mkdir(mode=0o700)
        monkeypatch.setenv("TRAINCAST_DIR", str(place))  # the fork server has that of the first trial
        hook = TrainingInfoHook(start=trial * 100)
        env = ParallelEnv(1, hook.wrap_env_fn(NativeEnv), mp_start_method="forkserver")
        told += known(env)
        hook.run.publish(trial * 100 + 1)
        told += known(env)
        env.close()
        hook.run.close()
    assert told == [100, 101, 200, 201]


def test_after_the_death_of_a_worker_new_ones_are_served(traincast_dir):
    hook = TrainingInfoHook()
    env = ParallelEnv(2, hook.wrap_env_fn(NativeEnv), mp_start_method="fork", shutdown_timeout=1.0)
    assert known(env) == [0, 0]
    os.kill(env._workers[0].pid, signal.SIGKILL)
    env._workers[0].join()
    hook.run.publish(5)
    with pytest.raises(RuntimeError):  # TorchRL does not start it again
        env.reset()
    again = ParallelEnv(2, hook.wrap_env_fn(NativeEnv), mp_start_method="fork")
    assert known(again) == [5, 5]
    again.close()
    hook.run.close()
    assert channels(traincast_dir) == set()
