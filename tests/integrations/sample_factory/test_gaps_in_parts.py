"""The gaps of Sample Factory's own propagation that show in its parts: each with its queue and not with ours.

The parts are Sample Factory's own: the envs are made, vectorised, found and told as its workers do it. The
numbers are those of the list in `traincast.integrations.sample_factory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Empty
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import sf_envs
from pettingzoo.utils.conversions import aec_to_parallel_wrapper
from sample_factory.algo.utils.make_env import (
    SequentialVectorizeWrapper,
    make_env_func_batched,
    make_env_func_non_batched,
)
from sample_factory.envs import env_utils
from sample_factory.envs.env_utils import TrainingInfoInterface, register_env
from sample_factory.train import make_runner
from sample_factory.utils.attr_dict import AttrDict
from signal_slot.queue_utils import get_queue

import traincast
from traincast.integrations.sample_factory import TrainingInfoObserver, wrap_env_func
from traincast.integrations.sample_factory.channel import show_channel

QUEUE, OURS = "queue", "traincast"
both = pytest.mark.parametrize("how", [QUEUE, OURS])

MakeEnv = Callable[..., Any]


@pytest.fixture
def writer(channel_name: str) -> Iterator[traincast.TrainingInfoWriter]:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        yield writer


@pytest.fixture
def make(how: str, writer: traincast.TrainingInfoWriter, configuration: Any) -> MakeEnv:
    """Make an env as a worker of a run does; `writer` is the learner's side of that run."""

    def make(name: str, env_id: int = 0, batched: bool = True, envs: int = 1) -> Any:
        cfg = configuration(f"--env={name}", f"--batched_sampling={batched}", f"--num_envs_per_worker={envs}")
        register_env(name, sf_envs.make_env if how == QUEUE else wrap_env_func(sf_envs.make_env))
        show_channel(cfg, writer.name)
        function = make_env_func_batched if batched else make_env_func_non_batched
        return function(cfg, AttrDict(worker_index=0, vector_index=env_id, env_id=env_id))

    return make


def tell(env: Any, info: dict[str, Any], agents: Any = None) -> None:
    """Hand over the queue's copy as the workers do, at the end of an episode or of a rollout."""
    agents = slice(0, env.num_agents) if agents is None else agents
    env_utils.set_reward_shaping(env, info.get("reward_shaping"), agents)
    env_utils.set_training_info(env_utils.find_training_info_interface(env), info)


def info(steps: int, shaping: Any = None) -> dict[str, Any]:
    return {"policy_id": 0, "approx_total_training_steps": steps, "reward_shaping": shaping}


@both
def test_gap_1_only_the_first_batched_env_is_told(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    envs = [make("informed", env_id, envs=3) for env_id in range(3)]
    vector = SequentialVectorizeWrapper(envs)
    writer.publish(info(100))
    vector.reset()
    tell(vector, info(100))
    vector.reset()
    told = [env.unwrapped.training_info.get("approx_total_training_steps") for env in envs]
    assert told == ([100, None, None] if how == QUEUE else [100, 100, 100])


@both
def test_gap_2_reward_shaping_alone_is_an_error_when_batched(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    envs = [make("shaped", env_id, envs=2) for env_id in range(2)]
    vector = SequentialVectorizeWrapper(envs)
    default = {"goal": 1.0, "delta": (0.5, -0.5)}
    new = {"goal": 2.0, "delta": (0.25, -0.25)}
    writer.publish(info(100, new))
    if how == QUEUE:
        with pytest.raises(IndexError):
            env_utils.get_default_reward_shaping(vector)
        with pytest.raises(IndexError):
            tell(vector, info(100, new))
    else:
        assert env_utils.get_default_reward_shaping(vector) == default
        tell(vector, info(100, new))
        assert [env.unwrapped.shaping for env in envs] == [new, new]
        assert env_utils.get_default_reward_shaping(vector) == default


@both
def test_gap_2_no_reward_shaping_is_an_error_when_batched(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    vector = SequentialVectorizeWrapper([make("informed", env_id, envs=2) for env_id in range(2)])
    writer.publish(info(100, {"goal": 2.0}))
    if how == QUEUE:
        with pytest.raises(TypeError):
            tell(vector, info(100, {"goal": 2.0}))
    else:
        tell(vector, info(100, {"goal": 2.0}))
        assert env_utils.get_default_reward_shaping(vector) is None


@both
def test_gap_7_a_wrapper_that_keeps_its_env_elsewhere(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    env = make("hidden")
    writer.publish(info(100))
    if how == QUEUE:
        with pytest.raises(AttributeError):
            env_utils.find_training_info_interface(env)
    else:
        tell(env, info(100))
        assert env.unwrapped.training_info["approx_total_training_steps"] == 100


@both
def test_gap_7_an_env_that_compares_like_an_array(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    env = make("array_equality")
    writer.publish(info(100))
    if how == QUEUE:
        with pytest.raises(ValueError, match="ambiguous"):
            env_utils.find_training_info_interface(env)
    else:
        tell(env, info(100))
        inner = traincast.find_wrapper_interface(env, sf_envs.ArrayEquality)
        assert inner is not None
        assert inner.training_info["approx_total_training_steps"] == 100


class Turns(TrainingInfoInterface):
    """The least of a PettingZoo AEC env."""

    metadata = MappingProxyType({"is_parallelizable": True})
    possible_agents = ("a",)
    render_mode = None

    @property
    def unwrapped(self) -> Any:
        return self


def test_gap_7_a_parallel_view_of_a_pettingzoo_env() -> None:
    env = aec_to_parallel_wrapper(Turns())
    with pytest.raises(AttributeError):
        env_utils.find_training_info_interface(env)
    assert traincast.find_training_info_interface(env) is env.aec_env


@both
def test_gap_8_the_envs_of_a_worker_share_one_dictionary(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    envs = [make("informed", env_id, batched=False, envs=2) for env_id in range(2)]
    sent = info(100) | {"levels": [1, 2, 3]}
    writer.publish(sent)
    for env in envs:
        env.reset()
        tell(env, sent)
    first, second = (env.unwrapped.training_info for env in envs)
    assert first == second == sent
    first["levels"].append(4)
    assert second["levels"] == ([1, 2, 3, 4] if how == QUEUE else [1, 2, 3])
    assert (first is second) == (how == QUEUE)


@both
def test_gap_8_what_is_known_is_told_again(
    make: MakeEnv, how: str, writer: traincast.TrainingInfoWriter
) -> None:
    env = make("informed", batched=False)
    writer.publish(info(100))
    env.reset()
    tell(env, info(100))
    before = env.unwrapped.training_info
    env.reset()
    tell(env, info(100))
    # A new dictionary with the same content: an env that works on each one works twice.
    assert (env.unwrapped.training_info is before) == (how == OURS)


@both
@pytest.mark.parametrize("name", ["shaped", "shaped_other_name"])
@pytest.mark.parametrize("keyword", ["agent_idx", "agent_indices"])
def test_gap_10_the_second_argument_has_two_names(
    make: MakeEnv, how: str, name: str, keyword: str, writer: traincast.TrainingInfoWriter
) -> None:
    env = make(name, batched=False)
    new = {"goal": 2.0}
    writer.publish(info(100, new))
    target = env_utils.find_wrapper_interface(env, env_utils.RewardShapingInterface)
    if how == QUEUE and (name == "shaped") != (keyword == "agent_idx"):
        with pytest.raises(TypeError):
            target.set_reward_shaping(new, **{keyword: 0})
    else:
        target.set_reward_shaping(new, **{keyword: 0})
        assert env.unwrapped.shaping == new
        assert env.unwrapped.agents == 0


BIG = 8_000_000  # bytes; the queue holds 5,000,000


@both
def test_gap_11_what_is_larger_than_the_queue_is_lost(how: str, configuration: Any, make: MakeEnv) -> None:
    make("informed")
    cfg, runner = make_runner(configuration("--env=informed", "--experiment=big", "--serial_mode=False"))
    weights = np.arange(BIG // 8, dtype=np.float64)
    observer = TrainingInfoObserver()
    if how == OURS:
        runner.register_observer(observer)
    try:
        assert runner.init() == 0
        runner._process_msg({"learner_env_steps": 4096, "policy_id": 0})  # as the learner reports
        queue = runner.sampler.rollout_workers[0].event_loop.signal_queue
        assert type(queue) is type(get_queue(serial=False))
        runner.update_reward_shaping(0, {"weights": weights})
        if how == QUEUE:
            with pytest.raises(Empty):
                queue.get_many(timeout=0.5)
        else:
            runner._process_msg({"learner_env_steps": 8192, "policy_id": 0})
            env = sf_envs_env(cfg)
            env.reset()
            told = env.unwrapped.training_info
            assert told["approx_total_training_steps"] == 8192
            np.testing.assert_array_equal(told["reward_shaping"]["weights"], weights)
    finally:
        observer.close()


def sf_envs_env(cfg: Any) -> Any:
    return make_env_func_non_batched(cfg, AttrDict(worker_index=0, vector_index=0, env_id=0))
