"""Finding an interface inside an env: the order, where wrappers keep what they wrap, and who receives."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from recording_envs import Holder, InfoWrapper, PlainEnv, RecordingEnv

import traincast
from traincast import (
    find_reward_shaping_interface,
    find_training_info_interface,
    find_wrapper_interface,
    set_training_info,
)

INFO = {"approx_total_training_steps": 7}


class ShapedEnv(PlainEnv, traincast.RewardShapingInterface):
    def get_default_reward_shaping(self):
        return {"goal": 1.0}

    def set_reward_shaping(self, reward_shaping, agent_indices):
        self.shaping = reward_shaping, agent_indices


# --- the order ---


def test_the_env_itself_comes_first():
    env = RecordingEnv()
    assert find_training_info_interface(env) is env


def test_the_outermost_of_several_is_found():
    env = InfoWrapper(gymnasium.Wrapper(InfoWrapper(RecordingEnv())))
    assert find_training_info_interface(env) is env
    assert find_training_info_interface(gymnasium.Wrapper(env)) is env


def test_an_env_below_gymnasiums_own_wrappers_is_found():
    env = gymnasium.make("Recording-v0")
    assert find_training_info_interface(env) is env.unwrapped


def test_none_if_nothing_implements_it():
    env = gymnasium.make("CartPole-v1")
    assert find_training_info_interface(env) is None
    assert find_reward_shaping_interface(env) is None
    assert find_training_info_interface(None) is None


def test_any_class_can_be_looked_for():
    env = gymnasium.make("CartPole-v1", max_episode_steps=10)
    assert type(find_wrapper_interface(env, gymnasium.wrappers.TimeLimit)) is gymnasium.wrappers.TimeLimit
    assert find_wrapper_interface(env, type(env.unwrapped)) is env.unwrapped
    assert find_wrapper_interface(env, gymnasium.wrappers.ClipAction) is None


def test_reward_shaping_is_found_independently_of_training_info():
    env = InfoWrapper(ShapedEnv())
    assert find_reward_shaping_interface(env) is env.unwrapped
    assert find_training_info_interface(env) is env


def test_the_search_goes_below_unwrapped():
    simulator = RecordingEnv()
    env = PlainEnv()
    env._env = simulator
    assert find_training_info_interface(gymnasium.Wrapper(env)) is simulator


# --- where wrappers keep what they wrap ---


INNER = ["env", "aec_env", "par_env", "gym_env", "venv", "_env", "_environment", "environment", "_gym_env"]
INNER += ["_wrapped_env", "base_env"]


@pytest.mark.parametrize("name", INNER)
def test_inner_envs_are_found_under_the_names_in_use(name):
    env = RecordingEnv()
    assert find_training_info_interface(Holder(**{name: Holder(**{name: env})})) is env


@pytest.mark.parametrize(
    "kind", [list, tuple, lambda envs: dict(enumerate(envs))], ids=["list", "tuple", "dict"]
)
@pytest.mark.parametrize("name", ["envs", "vec_envs", "workers", "_envs"])
def test_vector_envs_are_searched_one_env_after_the_other(name, kind):
    envs = [gymnasium.Wrapper(PlainEnv()), gymnasium.Wrapper(RecordingEnv()), RecordingEnv()]
    assert find_training_info_interface(Holder(**{name: kind(envs)})) is envs[1].env


def test_an_inner_env_in_a_property_or_slot_is_found():
    inner = RecordingEnv()

    class ByProperty:
        @property
        def env(self):
            return inner

    class BySlot:
        __slots__ = ("env",)

    slotted = BySlot()
    assert find_training_info_interface(slotted) is None  # the slot is still empty
    slotted.env = ByProperty()
    assert find_training_info_interface(slotted) is inner


def test_each_worker_of_a_vector_env_receives_as_in_tianshou():
    """Its DummyVectorEnv keeps `workers`, each of which keeps the env as `env`."""

    class VectorEnv:  # forwards reserved names to nobody, as tianshou's does
        def __init__(self, makers):
            self.workers = [Holder(env=make(), result=None) for make in makers]

        def __getattribute__(self, name):
            if name in ("metadata", "spec"):
                raise AssertionError("asked for something that only the workers have")
            return super().__getattribute__(name)

    envs = VectorEnv([RecordingEnv, lambda: gymnasium.Wrapper(RecordingEnv())])
    assert set_training_info(envs, INFO) == 2
    assert all(worker.env.unwrapped.training_info == INFO for worker in envs.workers)


def test_workers_in_other_processes_are_out_of_reach():
    assert set_training_info(Holder(workers=[Holder(parent_remote=object(), process=object())]), INFO) == 0


class TorchEnv(torch.nn.Module):
    """An env that is a torch module, as TorchRL's are: it keeps an inner one in `_modules` alone."""

    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


def test_the_submodules_of_an_env_that_is_a_torch_module_are_searched():
    env = RecordingEnv()
    transform = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    transformed = TorchEnv(transform=transform, base_env=TorchEnv(_env=gymnasium.Wrapper(env)))
    assert "base_env" not in vars(transformed)
    assert find_training_info_interface(transformed) is env


def test_lists_of_torch_modules_are_searched_too():
    envs = [RecordingEnv(), RecordingEnv()]
    parts = torch.nn.ModuleList([TorchEnv(_env=env) for env in envs])
    assert set_training_info(TorchEnv(parts=parts), INFO) == 2
    assert set_training_info(TorchEnv(_envs=[TorchEnv(_env=env) for env in envs]), INFO) == 2


def test_a_torch_module_that_knows_its_parent_ends_the_search():
    child, parent = TorchEnv(), TorchEnv()
    parent.child = child
    child._modules["parent"] = parent  # a circle, which setattr would allow as well
    child._modules["nothing"] = None  # as torch keeps a module that was set to None
    assert find_training_info_interface(parent) is None


def test_the_search_does_not_load_torch():
    code = (
        "import sys, traincast\n"
        "class Holder: pass\n"
        "outer = Holder(); outer._modules = {'env': Holder()}\n"
        "assert traincast.find_training_info_interface(outer) is None and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("name", ["base_env", "workers", "_envs", "_modules"])
def test_a_property_under_a_general_name_is_not_run(name):
    def touched(self):
        raise AssertionError("evaluated")

    assert find_training_info_interface(type("Touchy", (PlainEnv,), {name: property(touched)})()) is None


@pytest.mark.parametrize("name", ["base_env", "workers"])
def test_a_slot_under_a_general_name_is_followed(name):
    slotted = type("Slotted", (), {"__slots__": (name,)})()
    assert find_training_info_interface(slotted) is None  # the slot is still empty
    env = RecordingEnv()
    setattr(slotted, name, env if name == "base_env" else [env])
    assert find_training_info_interface(slotted) is env


@pytest.mark.parametrize(
    "value", [None, "CartPole-v1", RecordingEnv, traincast, lambda: RecordingEnv(), 3, object()]
)
def test_what_only_bears_the_name_is_no_env(value):
    assert find_training_info_interface(Holder(env=value, envs=value, _env=value)) is None
    assert find_training_info_interface(Holder(base_env=value, workers=[value], _modules=value)) is None
    env = RecordingEnv()
    assert find_training_info_interface(Holder(env=value, envs=[value], _env=env)) is env


# --- set_training_info ---


def test_without_an_interface_nobody_receives():
    assert set_training_info(gymnasium.make("CartPole-v1"), INFO) == 0
    assert set_training_info(None, INFO) == 0


def test_every_env_of_a_vector_env_receives_a_copy_of_its_own():
    envs = gymnasium.vector.SyncVectorEnv([RecordingEnv] * 3)
    info = INFO | {"nested": {"list": [1, (2, [3])]}, "set": {4}, "array": np.arange(3)}
    assert set_training_info(envs, info) == 3
    first, second, _ = (env.training_info for env in envs.envs)
    first["nested"]["list"][1][1].append("spoilt")
    first["set"].add("spoilt")
    first["array"][0] = 99
    for untouched in (second, info):
        assert untouched["nested"]["list"] == [1, (2, [3])]
        assert untouched["set"] == {4}
        assert untouched["array"].tolist() == [0, 1, 2]
    envs.close()


def test_read_only_arrays_are_shared():
    array = np.arange(3)
    array.flags.writeable = False
    env = RecordingEnv()
    set_training_info(env, INFO | {"array": array})
    assert env.training_info["array"] is array


def test_an_env_inside_two_branches_receives_once():
    env = RecordingEnv()
    assert set_training_info(Holder(env=env, envs=[env, gymnasium.Wrapper(env)]), INFO) == 1
    assert len(env.received) == 1


def test_what_is_inside_an_interface_is_its_own_business():
    env = InfoWrapper(RecordingEnv())
    assert set_training_info(env, INFO) == 1
    assert env.training_info == INFO
    assert env.unwrapped.training_info == {}


def test_envs_in_other_processes_are_out_of_reach():
    envs = gymnasium.vector.AsyncVectorEnv([RecordingEnv] * 2)
    assert set_training_info(envs, INFO) == 0
    envs.close()
