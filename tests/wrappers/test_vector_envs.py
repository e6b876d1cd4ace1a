"""In Gymnasium's vector envs, with every autoreset mode of the installed Gymnasium."""

from __future__ import annotations

import os
from functools import partial

import gymnasium
import numpy as np
import pytest
from recording_envs import STEPS, RecordingEnv, make_recording_env

import traincast

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# Gymnasium 0.29 has one way of resetting and no name for it: in the step that ends the episode.
MODES = list(getattr(gymnasium.vector, "AutoresetMode", [None]))
ENVS = 3
EPISODE = 3  # steps


def make(kind, name, mode=None, **arguments):
    arguments |= {} if mode is None else {"autoreset_mode": mode}
    make_one = partial(make_recording_env, name, os.environ["TRAINCAST_DIR"])
    return kind([make_one for _ in range(ENVS)], **arguments)


@pytest.fixture
def writer(channel_name):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        yield writer


KINDS = [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_reset_knows_the_newest(writer, kind, mode):
    envs = make(kind, writer.name, mode)
    _, infos = envs.reset()
    assert infos["known_steps"].tolist() == [10] * ENVS
    for episode in range(1, 4):
        newest = 10 + episode
        writer.publish({STEPS: newest})
        done = np.zeros(ENVS, bool)
        for _ in range(EPISODE):
            assert not done.any()
            _, _, done, _, infos = envs.step(np.zeros(ENVS, int))
        assert done.all()
        if mode is not None and mode.name == "NEXT_STEP":
            _, _, _, _, infos = envs.step(np.zeros(ENVS, int))
        elif mode is not None and mode.name == "DISABLED":
            _, infos = envs.reset(options={"reset_mask": np.ones(ENVS, bool)})
        assert infos["known_steps"].tolist() == [newest] * ENVS
    envs.close()


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_async_envs_of_every_start_method_have_the_newest(writer, context):
    envs = make(gymnasium.vector.AsyncVectorEnv, writer.name, context=context)
    assert envs.reset()[1]["known_steps"].tolist() == [10] * ENVS
    writer.publish({STEPS: 20})
    assert envs.reset()[1]["known_steps"].tolist() == [20] * ENVS
    envs.close()


def test_each_env_of_a_worker_has_a_dictionary_of_its_own(writer):
    writer.publish({STEPS: 20, "nested": {"list": [1]}})
    envs = make(gymnasium.vector.SyncVectorEnv, writer.name)
    envs.reset()
    first, *others = (env.unwrapped.training_info for env in envs.envs)
    first["nested"]["list"].append("spoilt")
    first[STEPS] = "spoilt"
    assert others == [{STEPS: 20, "nested": {"list": [1]}}] * (ENVS - 1)
    envs.close()


def test_no_env_is_left_out(writer):
    envs = make(gymnasium.vector.SyncVectorEnv, writer.name)
    for steps in (20, 30):
        writer.publish({STEPS: steps})
        envs.reset()
    assert [env.unwrapped.seen for env in envs.envs] == [[20, 30]] * ENVS
    envs.close()


def test_a_method_inside_can_be_called_through_the_vector_env(writer):
    envs = make(gymnasium.vector.AsyncVectorEnv, writer.name)
    envs.reset()
    infos = envs.call("training_info")
    assert list(infos) == [{STEPS: 10}] * ENVS
    envs.close()


def test_make_vec_takes_the_wrapper(writer):
    wrapper = partial(traincast.TrainingInfoWrapper, name=writer.name)
    # The wrappers go around each env, as with `make_vec_env(wrapper_class=...)` of Stable-Baselines3.
    mode = {"vectorization_mode": "sync"}
    envs = gymnasium.make_vec("Recording-v0", num_envs=ENVS, wrappers=[wrapper], **mode)
    assert envs.reset()[1]["known_steps"].tolist() == [10] * ENVS
    assert all(type(env.unwrapped) is RecordingEnv for env in envs.envs)
    envs.close()
