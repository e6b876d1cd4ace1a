"""PettingZoo and SuperSuit: interfaces are found through their wrappers."""

from __future__ import annotations

import numpy as np
import pytest
import supersuit
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv
from pettingzoo.utils import aec_to_parallel, parallel_to_aec
from pettingzoo.utils.wrappers import BaseParallelWrapper, OrderEnforcingWrapper

import traincast

INFO = {"approx_total_training_steps": 7}


class Pennies(ParallelEnv):
    """Matching pennies, one round."""

    metadata = {"name": "pennies_v0", "is_parallelizable": True}  # noqa: RUF012 - PettingZoo's convention
    possible_agents = ["even", "odd"]  # noqa: RUF012 - PettingZoo's convention
    render_mode = None

    def observation_space(self, agent):
        return Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions):
        equal = actions["even"] == actions["odd"]
        rewards = {"even": float(equal), "odd": float(not equal)}
        over = dict.fromkeys(self.agents, True)
        return self._observations(), rewards, over, dict.fromkeys(over, False), {agent: {} for agent in over}

    def _observations(self):
        return {agent: np.zeros(1, np.float32) for agent in self.agents}


class InfoParallelWrapper(BaseParallelWrapper, traincast.TrainingInfoInterface):
    def __init__(self, env):
        BaseParallelWrapper.__init__(self, env)
        traincast.TrainingInfoInterface.__init__(self)


def test_the_interface_is_found_through_converters():
    parallel = InfoParallelWrapper(Pennies())
    env = aec_to_parallel(OrderEnforcingWrapper(parallel_to_aec(parallel)))
    assert traincast.find_training_info_interface(env) is parallel
    assert traincast.set_training_info(env, INFO) == 1
    assert parallel.training_info == INFO


def test_an_aec_env_with_the_method_is_found_and_not_its_forwarding_wrappers():
    env = parallel_to_aec(Pennies())
    assert type(env) is OrderEnforcingWrapper
    received = []
    env.env.set_training_info = received.append
    assert env.set_training_info  # the wrapper forwards it
    assert traincast.find_training_info_interface(OrderEnforcingWrapper(env)) is env.env
    assert traincast.set_training_info(env, INFO) == 1
    assert received == [INFO]


def test_without_an_interface_none_is_found():
    assert traincast.find_training_info_interface(aec_to_parallel(parallel_to_aec(Pennies()))) is None


def test_every_env_of_supersuits_vector_envs_receives():
    parallel = InfoParallelWrapper(Pennies())
    vector = supersuit.pettingzoo_env_to_vec_env_v1(parallel)
    assert traincast.find_training_info_interface(vector) is parallel
    several = supersuit.concat_vec_envs_v1(vector, 2, num_cpus=0, base_class="gymnasium")
    assert traincast.set_training_info(several, INFO) == 2
    observations, _ = several.reset(seed=0)
    assert np.shape(observations)[0] == several.num_envs


def test_the_wrapper_says_what_to_do_instead(channel_name):
    for env in (parallel_to_aec(Pennies()), Pennies()):
        with pytest.raises(TypeError, match=r"PettingZoo.*TrainingInfoReader.*set_training_info"):
            traincast.TrainingInfoWrapper(env, channel_name)


def test_the_remedy_works(channel_name):
    env = aec_to_parallel(parallel_to_aec(InfoParallelWrapper(Pennies())))
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(INFO)
        reader = traincast.TrainingInfoReader(channel_name)
        assert traincast.set_training_info(env, reader.read()) == 1
        env.reset(seed=0)
    assert traincast.find_training_info_interface(env).training_info == INFO
