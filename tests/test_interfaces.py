"""The interfaces have Sample Factory's names, methods and constructors."""

from __future__ import annotations

import pytest

import traincast


class InfoEnv(traincast.TrainingInfoInterface):
    pass


def test_an_env_starts_without_training_info():
    assert InfoEnv().training_info == {}


def test_every_env_starts_with_a_dictionary_of_its_own():
    assert InfoEnv().training_info is not InfoEnv().training_info


def test_set_training_info_keeps_the_dictionary_given():
    env, info = InfoEnv(), {"approx_total_training_steps": 5}
    env.set_training_info(info)
    assert env.training_info is info


def test_reward_shaping_is_for_the_env_to_implement():
    interface = traincast.RewardShapingInterface()
    with pytest.raises(NotImplementedError):
        interface.get_default_reward_shaping()
    with pytest.raises(NotImplementedError):
        interface.set_reward_shaping({"goal": 1.0}, 0)


def test_reward_shaping_needs_no_constructor():
    assert "__init__" not in vars(traincast.RewardShapingInterface)


@pytest.mark.parametrize("agents", [0, slice(0, 2)])
def test_reward_shaping_is_set_by_position_whatever_the_arguments_are_called(agents):
    class Old(traincast.RewardShapingInterface):
        def set_reward_shaping(self, reward_shaping, agent_idx):
            self.got = reward_shaping, agent_idx

    class New(traincast.RewardShapingInterface):
        def set_reward_shaping(self, reward_shaping, agent_indices):
            self.got = reward_shaping, agent_indices

    for env in (Old(), New()):
        traincast.find_reward_shaping_interface(env).set_reward_shaping({"goal": 1.0}, agents)
        assert env.got == ({"goal": 1.0}, agents)


@pytest.mark.parametrize("name", ["TrainingInfoInterface", "RewardShapingInterface"])
def test_the_public_name_is_the_package_name(name):
    interface = getattr(traincast, name)
    assert (interface.__module__, interface.__qualname__) == ("traincast", name)
