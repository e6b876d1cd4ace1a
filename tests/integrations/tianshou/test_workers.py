"""Every kind of Tianshou's vector envs, and what becomes of a killed worker."""

from __future__ import annotations

import os
import signal
from functools import partial

import numpy as np
import pytest
import ray
import seen_envs
from places import clean
from recording_envs import RecordingEnv
from seen_envs import make_seen, rising
from tianshou.env import DummyVectorEnv, RayVectorEnv, ShmemVectorEnv, SubprocVectorEnv

import traincast
from traincast.integrations.tianshou import TrainingInfoFn

KINDS = {  # and how many envs: a process that is not forked has to import Tianshou
    "dummy": (DummyVectorEnv, 2),
    "fork": (partial(SubprocVectorEnv, context="fork"), 2),
    "spawn": (partial(SubprocVectorEnv, context="spawn"), 1),
    "forkserver": (partial(SubprocVectorEnv, context="forkserver"), 1),
    "shared memory": (ShmemVectorEnv, 2),
}


def seen_by_each(trainer):
    """What each env saw at its resets, in order."""
    buffers = trainer.params.training_collector.buffer.buffers
    return [np.asarray(buffer[: len(buffer)].obs).ravel() for buffer in buffers]


def check_newest(trainer):
    """Episodes have 3 steps, and all envs together collect 10 in a training step.

    An env is reset in the training step in which its last episode ended, and sees the count at its beginning.
    """
    envs = seen_by_each(trainer)
    for seen in envs:
        assert rising(seen)
        assert seen[0] == 0
        for episode in range(1, len(seen) // 3):
            training_step = (3 * episode - 1) // (10 // len(envs))
            assert set(seen[3 * episode : 3 * episode + 3]) == {10 * training_step}


@pytest.mark.parametrize("kind", KINDS)
def test_each_reset_sees_the_newest_value(kind, trainer_of):
    info = TrainingInfoFn()
    vector_env, count = KINDS[kind]
    envs = vector_env([info.wrap_env_fn(make_seen) for _ in range(count)])
    try:
        trainer = trainer_of(envs, info)
        trainer.run()
    finally:
        envs.close()
    check_newest(trainer)
    assert info.run.steps == 70  # the beginning of the last training step


def test_ray_actors_see_the_newest_value(trainer_of, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(seen_envs.__file__))  # of the actors
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000)
    try:
        info = TrainingInfoFn()
        envs = RayVectorEnv([info.wrap_env_fn(make_seen) for _ in range(2)])
        trainer = trainer_of(envs, info)
        trainer.run()
        envs.close()
    finally:
        ray.shutdown()
    check_newest(trainer)


def test_envs_that_take_the_place_of_killed_workers_are_served_again(trainer_of, traincast_dir):
    info = TrainingInfoFn()
    fns = [info.wrap_env_fn(make_seen) for _ in range(2)]
    envs = SubprocVectorEnv(fns)
    trainer = trainer_of(envs, info, max_epochs=1)
    trainer.run()
    os.kill(envs.workers[0].process.pid, signal.SIGKILL)
    envs.workers[0].process.join()
    with pytest.raises((EOFError, ConnectionError)):  # Tianshou restarts nothing
        trainer.run()
    envs.close()
    again = SubprocVectorEnv(fns)
    try:
        after = trainer_of(again, info)
        after.run()
    finally:
        again.close()
    for seen in seen_by_each(after):
        assert rising(seen)
        assert seen[0] == 30  # where the first training was
    assert clean(traincast_dir) == 0  # the killed worker left nothing


def test_a_vector_env_of_tianshou_is_refused_with_what_to_wrap_in_its_place():
    with (
        traincast.Run("refused") as run,
        pytest.raises(TypeError, match="not around DummyVectorEnv: use wrap_env_fn"),
    ):
        run.wrap_env(DummyVectorEnv([RecordingEnv]))
