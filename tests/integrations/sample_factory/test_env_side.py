"""The env's side: what `wrap_env_func` returns and makes."""

from __future__ import annotations

import pickle
import threading
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest
import sf_envs
from sample_factory.envs import env_utils
from sample_factory.utils.attr_dict import AttrDict
from sample_factory.utils.utils import set_attr_if_exists

import traincast
from traincast.curriculum import Linear, ProgressCurriculum
from traincast.integrations.sample_factory import wrap_env_func
from traincast.integrations.sample_factory.channel import channel_of, hide_channel, show_channel

STEPS = "approx_total_training_steps"
Make = Callable[..., Any]


def info(steps: int, **more: Any) -> dict[str, Any]:
    return {"policy_id": 0, STEPS: steps, "reward_shaping": None, **more}


def steps_of(env: Any) -> int | None:
    return env.unwrapped.training_info.get(STEPS)


# --- during a training


def test_a_reset_has_the_newest_and_a_late_copy_does_not_overwrite_it(make: Make, writer: Any) -> None:
    env = make("informed", channel=writer.name)
    writer.publish(info(100))
    env.reset()
    assert steps_of(env) == 100
    writer.publish(info(300))
    env.set_training_info(info(200))
    assert steps_of(env) == 300
    env.set_training_info(info(100))
    assert steps_of(env) == 300
    assert env.training_info[STEPS] == 300


def test_a_late_reward_shaping_does_not_overwrite_a_newer_one(make: Make, writer: Any) -> None:
    env = make("shaped", channel=writer.name)
    writer.publish(info(100, reward_shaping={"goal": 3.0}))
    env.set_reward_shaping({"goal": 2.0}, 0)
    assert env.unwrapped.shaping == {"goal": 3.0}
    env.set_reward_shaping({"goal": 2.0}, 0)
    assert env.unwrapped.shaping == {"goal": 3.0}


def test_the_default_reward_shaping_stays_what_it_was(make: Make, writer: Any) -> None:
    env = make("team", channel=writer.name)
    writer.publish(info(100, reward_shaping={"goal": 3.0}))
    env.reset()
    assert env.unwrapped.get_default_reward_shaping() == {"goal": 3.0}  # this env says what it uses
    assert env.get_default_reward_shaping() == {"goal": 1.0}
    env.get_default_reward_shaping()["goal"] = 7.0
    assert env.get_default_reward_shaping() == {"goal": 1.0}


def test_agents_do_not_share_a_reward_shaping(make: Make, writer: Any) -> None:
    env = make("team", channel=writer.name)
    writer.publish(info(100, reward_shaping={"goal": 3.0}))
    env.reset()
    env.unwrapped.shaping[0]["goal"] = 9.0
    assert env.unwrapped.shaping[1] == {"goal": 3.0}


def test_an_env_that_resets_itself_is_told_before_the_step(make: Make, writer: Any) -> None:
    env = make("team", "--episode_length=1", channel=writer.name)
    writer.publish(info(100))
    env.reset()
    writer.publish(info(200))
    env.step([0, 0])  # resets itself
    assert steps_of(env) == 200


@pytest.mark.parametrize(("deliver", "seen"), [("auto", 100), ("reset", 100), ("both", 200)])
def test_deliver_decides_whether_a_step_has_the_newest(
    make: Make, writer: Any, deliver: str, seen: int
) -> None:
    env = make("informed", channel=writer.name, deliver=deliver)
    writer.publish(info(100))
    env.reset()
    writer.publish(info(200))
    env.step(0)
    assert steps_of(env) == seen


def test_one_batched_env_gets_its_agents_as_a_slice(make: Make, writer: Any) -> None:
    writer.publish(info(100, reward_shaping={"goal": 3.0}))
    one = make("shaped", "--batched_sampling=True", "--num_envs_per_worker=1", channel=writer.name)
    one.reset()
    assert one.unwrapped.agents == slice(0, 1)
    two = make("shaped", "--batched_sampling=True", "--num_envs_per_worker=2", channel=writer.name)
    two.reset()
    assert two.unwrapped.agents == 0


def test_the_first_reset_waits_for_the_first_report(make: Make, channel_name: str) -> None:
    env = make(
        "informed", "--serial_mode=False", channel=channel_name, on_missing="raise", attach_timeout=60.0
    )
    writer = traincast.TrainingInfoWriter(channel_name)

    def publish_later() -> None:
        time.sleep(0.3)
        writer.publish(info(100))

    thread = threading.Thread(target=publish_later)
    thread.start()
    env.reset()
    thread.join()
    assert steps_of(env) == 100
    writer.close()


def test_a_reset_does_not_wait_where_the_learner_is_the_same_process(make: Make, channel_name: str) -> None:
    env = make("informed", channel=channel_name, attach_timeout=1e9)
    env.reset()
    assert env.unwrapped.training_info == {}


def test_a_channel_that_is_late_is_found_at_a_later_reset(make: Make, channel_name: str) -> None:
    env = make("informed", channel=channel_name)
    env.reset()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(100))
        env.reset()
        assert steps_of(env) == 100


def test_the_queues_copy_is_better_than_nothing(make: Make, channel_name: str) -> None:
    env = make("informed_shaped", channel=channel_name)
    env.reset()
    env.set_training_info(info(50))
    env.set_reward_shaping({"goal": 2.0}, 0)
    assert steps_of(env) == 50
    assert env.unwrapped.shaping == {"goal": 2.0}


def test_envs_keep_what_they_have_when_the_run_is_over(make: Make, writer: Any) -> None:
    env = make("informed", channel=writer.name, on_missing="raise")
    writer.publish(info(100))
    env.reset()
    writer.close()
    env.reset()
    env.set_training_info(info(50))
    assert steps_of(env) == 100
    env.close()


def test_the_arguments_of_reset_are_passed_on() -> None:
    class Options(sf_envs.Plain):
        got: Any = None

        def reset(self, **kwargs: Any) -> Any:
            self.got = kwargs
            return super().reset(**kwargs)

    env = wrap_env_func(lambda *args: Options(Namespace(episode_length=3, step_sleep=0), None))("plain")
    env.reset(seed=3, options={"a": 1})
    assert env.unwrapped.got == {"seed": 3, "options": {"a": 1}}


def test_an_env_without_interfaces_is_left_alone(make: Make, writer: Any) -> None:
    env = make("plain", channel=writer.name)
    writer.publish(info(100, reward_shaping={"goal": 2.0}))
    env.reset()
    env.set_training_info(info(50))
    env.set_reward_shaping({"goal": 1.0}, 0)
    assert env.get_default_reward_shaping() is None
    assert env.training_info[STEPS] == 100


def test_set_reward_shaping_needs_the_agents(make: Make, writer: Any) -> None:
    with pytest.raises(TypeError, match="agent_indices"):
        make("shaped", channel=writer.name).set_reward_shaping({"goal": 1.0})


# --- without traincast's run_rl


def test_the_queue_serves_a_run_that_traincast_does_not_serve(make: Make) -> None:
    env = make("informed_shaped")
    env.reset()
    with pytest.warns(traincast.TraincastWarning, match="without traincast's run_rl or TrainingInfoObserver"):
        env.set_training_info(info(100))
    env.set_reward_shaping({"goal": 2.0}, 0)
    assert steps_of(env) == 100
    assert env.unwrapped.shaping == {"goal": 2.0}


def test_nothing_is_missing_where_the_queue_serves(make: Make) -> None:
    env = make("informed")
    env.reset()
    with pytest.warns(traincast.TraincastWarning, match="without traincast's run_rl"):
        env.set_training_info(info(100))
    for _ in range(300):
        env.reset()  # pytest makes an error of a warning
    env.close()


def test_the_probe_env_comes_before_the_channel_and_its_name(make: Make) -> None:
    env = make("informed_shaped", env_config=None)
    env.reset()
    assert env.training_info == {}
    assert env_utils.get_default_reward_shaping(env) == {"goal": 1.0, "delta": (0.5, -0.5)}


@pytest.mark.filterwarnings("ignore:.*to get variables from other wrappers")  # Sample Factory does so
@pytest.mark.parametrize("trained", [True, False])
def test_a_curriculum_inside_leaves_the_warnings_to_the_wrapper(
    configuration: Any, channel_name: str, trained: bool
) -> None:
    def make_env(*arguments: Any) -> Any:
        env = sf_envs.make_env(*arguments)
        env.unwrapped.difficulty = None
        return ProgressCurriculum(env, {"difficulty": Linear(0.0, 1.0, 10)})

    cfg = configuration("--env=informed", "--experiment=here")
    if trained:
        show_channel(cfg, channel_name)
    env = wrap_env_func(make_env)("informed", cfg, sf_envs.WORKER, None)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(5))
        for _ in range(300 if trained else 99):
            env.reset()  # pytest makes an error of a warning
    assert env.unwrapped.difficulty == (0.5 if trained else 0.0)


@pytest.mark.filterwarnings("ignore:.*to get variables from other wrappers")  # Sample Factory does so
def test_what_a_curriculum_shows_is_among_the_statistics_of_an_episode(
    configuration: Any, channel_name: str
) -> None:
    def make_env(*arguments: Any) -> Any:
        env = sf_envs.make_env(*arguments)
        env.unwrapped.difficulty = None
        return ProgressCurriculum(env, {"difficulty": Linear(0.0, 1.0, 10)})

    cfg = configuration("--env=informed", "--experiment=here")
    show_channel(cfg, channel_name)
    env = wrap_env_func(make_env)("informed", cfg, sf_envs.WORKER, None)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(info(5))
        env.reset()
        over = False
        while not over:
            *_, terminated, truncated, last = env.step(env.action_space.sample())
            assert ("episode_extra_stats" in last) is (terminated or truncated)
            over = terminated or truncated
    assert last["episode_extra_stats"] == {"curriculum/progress": 5.0, "curriculum/difficulty": 0.5}


# --- what Sample Factory needs of it


def test_it_can_be_pickled_to_a_worker() -> None:
    wrapped = wrap_env_func(sf_envs.make_env, eval_info={STEPS: 3})
    assert pickle.loads(pickle.dumps(wrapped)) == wrapped


def test_sample_factory_finds_the_wrapper_itself(make: Make, writer: Any) -> None:
    env = gym.Wrapper(make("informed_shaped", channel=writer.name))
    assert env_utils.find_training_info_interface(env) is env.env
    assert env_utils.find_wrapper_interface(env, env_utils.RewardShapingInterface) is env.env


def test_the_innermost_env_is_the_users(make: Make) -> None:
    assert type(make("informed").unwrapped) is sf_envs.Informed


class WithAttribute(sf_envs.Informed):
    """As Sample Factory's DMLab env: it wants to know its policy."""

    curr_policy_idx = 0


@pytest.mark.parametrize("kind", [sf_envs.Informed, WithAttribute])
def test_the_worker_tells_the_wrapper_which_policy_it_has_chosen(
    configuration: Any, writer: Any, kind: Any
) -> None:
    seen = []

    class Watching(kind):  # type: ignore[misc]
        def reset(self, **kwargs: Any) -> Any:
            seen.append(env.unwrapped)
            return super().reset(**kwargs)

    cfg = configuration("--env=informed", "--experiment=here", "--num_policies=2", "--async_rl=True")
    show_channel(cfg, writer.name)
    inner = Watching(cfg, sf_envs.WORKER)
    before = set(vars(inner))
    env = wrap_env_func(lambda *_: inner)("informed", cfg, sf_envs.WORKER, None)
    assert set(vars(inner)) == before  # nothing is put into the user's env
    set_attr_if_exists(env.unwrapped, "curr_policy_idx", 1)
    assert getattr(inner, "curr_policy_idx", None) == (1 if kind is WithAttribute else None)
    writer.publish(info(100))
    with traincast.TrainingInfoWriter(writer.name, 1) as other:
        other.publish(info(700) | {"policy_id": 1})
        env.reset()
    assert inner.training_info[STEPS] == 700
    assert seen == [inner]


def test_spaces_and_agents_are_the_envs_own(make: Make) -> None:
    env = make("team")
    assert (env.num_agents, env.is_multiagent) == (2, True)
    assert env.action_space == sf_envs.Team.action_space
    assert (make("plain").num_agents, make("plain").is_multiagent) == (1, False)


@pytest.mark.parametrize("kind", [Namespace, AttrDict])
def test_the_configuration_shows_the_name_until_it_is_hidden(kind: Any) -> None:
    cfg = kind(experiment="x")
    assert channel_of(cfg) is None
    show_channel(cfg, "name")
    assert channel_of(cfg) == "name"
    hide_channel(cfg)
    hide_channel(cfg)
    assert channel_of(cfg) is None
    assert channel_of(None) is None
