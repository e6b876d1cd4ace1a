"""What `TrainingInfoWrapper` delivers, to whom, and when."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from recording_envs import STEPS, ForwardingWrapper, PlainEnv, RecordingEnv

import traincast


@pytest.fixture
def writer(channel_name):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        yield writer


@pytest.fixture
def env(channel_name):
    env = traincast.TrainingInfoWrapper(RecordingEnv(), channel_name)
    yield env
    env.close()


def episode(env):
    env.reset()
    while not env.step(0)[2]:
        pass


def test_the_first_reset_has_the_newest(writer, env):
    _, info = env.reset()
    assert info["known_steps"] == 10


def test_each_reset_has_the_newest(writer, env):
    for steps in (20, 30, 40):
        writer.publish({STEPS: steps})
        _, info = env.reset()
        assert info["known_steps"] == steps


def test_a_version_is_delivered_once(writer, env):
    for _ in range(3):
        episode(env)
    assert env.unwrapped.seen == [10]


def test_versions_between_resets_are_skipped(writer, env):
    env.reset()
    for steps in range(20, 30):
        writer.publish({STEPS: steps})
    env.reset()
    assert env.unwrapped.seen == [10, 29]


def test_the_same_content_published_again_is_a_new_version(writer, env):
    env.reset()
    writer.publish({STEPS: 10})
    env.reset()
    assert env.unwrapped.seen == [10, 10]


def test_nothing_is_delivered_in_an_episode(writer, env):
    env.reset()
    writer.publish({STEPS: 20})
    env.step(0)
    assert env.unwrapped.seen == [10]


def test_deliver_step_delivers_before_steps_and_not_before_resets(writer, channel_name):
    env = traincast.TrainingInfoWrapper(RecordingEnv(), channel_name, deliver="step")
    env.reset()
    assert env.unwrapped.seen == []
    env.step(0)
    env.step(0)
    writer.publish({STEPS: 20})
    env.step(0)
    assert [(resets, count, info[STEPS]) for resets, count, info in env.unwrapped.received] == [
        (1, 0, 10),
        (1, 2, 20),
    ]


def test_deliver_both_delivers_before_resets_and_steps(writer, channel_name):
    env = traincast.TrainingInfoWrapper(RecordingEnv(), channel_name, deliver="both")
    env.reset()
    writer.publish({STEPS: 20})
    env.step(0)
    writer.publish({STEPS: 30})
    env.reset()
    assert [(resets, count, info[STEPS]) for resets, count, info in env.unwrapped.received] == [
        (0, 0, 10),
        (1, 0, 20),
        (1, 1, 30),
    ]


def test_deliver_both_serves_an_env_that_resets_itself_inside_step(writer, channel_name):
    class SelfResetting(gymnasium.Wrapper):
        def step(self, action):
            observation, reward, terminated, truncated, info = self.env.step(action)
            if terminated:
                observation, info = self.env.reset()
            return observation, reward, terminated, truncated, info

    env = traincast.TrainingInfoWrapper(SelfResetting(RecordingEnv(length=2)), channel_name, deliver="both")
    env.reset()
    env.step(0)
    writer.publish({STEPS: 20})
    *_, info = env.step(0)
    assert info["known_steps"] == 20


def test_two_envs_never_share_a_dictionary(writer, channel_name):
    writer.publish({STEPS: 1, "nested": {"list": [1]}})
    envs = [traincast.TrainingInfoWrapper(RecordingEnv(), channel_name) for _ in range(3)]
    for env in envs:
        env.reset()
        assert env.unwrapped.training_info == {STEPS: 1, "nested": {"list": [1]}}
        env.unwrapped.training_info["nested"]["list"].append("spoilt")
        env.unwrapped.training_info[STEPS] = "spoilt"


def test_an_old_dictionary_does_not_change_under_its_holder(writer, env):
    env.reset()
    old = env.unwrapped.training_info
    writer.publish({STEPS: 20})
    env.reset()
    assert old == {STEPS: 10}


def test_several_envs_inside_one_get_a_dictionary_each(writer, channel_name):
    class Team(PlainEnv):
        def __init__(self):
            super().__init__()
            self.envs = [RecordingEnv() for _ in range(3)]

    writer.publish({STEPS: 1, "nested": {}})
    env = traincast.TrainingInfoWrapper(Team(), channel_name)
    env.reset()
    infos = [inner.training_info for inner in env.unwrapped.envs]
    assert infos == [{STEPS: 1, "nested": {}}] * 3
    assert len({id(info) for info in infos}) == 3
    assert len({id(info["nested"]) for info in infos}) == 3


def test_the_wrapper_of_an_env_without_the_interface_can_be_asked(writer, channel_name):
    env = traincast.TrainingInfoWrapper(PlainEnv(), channel_name, on_undelivered="ignore")
    assert env.training_info == {}
    env.reset()
    assert env.training_info == {STEPS: 10}


def test_the_wrapper_holds_what_was_delivered_last(writer, env):
    env.reset()
    writer.publish({STEPS: 20})
    assert env.training_info == {STEPS: 10}
    env.reset()
    assert env.training_info == {STEPS: 20}


def test_the_wrapper_does_not_hide_the_interface_inside(env):
    assert traincast.find_training_info_interface(env) is env.unwrapped
    traincast.set_training_info(env, {STEPS: 1})
    assert env.unwrapped.seen == [1]


def test_the_interface_is_found_below_forwarding_wrappers(writer, channel_name):
    env = traincast.TrainingInfoWrapper(ForwardingWrapper(ForwardingWrapper(RecordingEnv())), channel_name)
    env.reset()
    assert env.unwrapped.seen == [10]


def test_an_inner_env_that_appears_late_is_found(writer, channel_name):
    class Lazy(PlainEnv):
        def reset(self, **arguments):
            self._env = RecordingEnv()
            return super().reset(**arguments)

    env = traincast.TrainingInfoWrapper(Lazy(), channel_name)
    env.reset()
    inner = env.unwrapped._env
    writer.publish({STEPS: 20})
    env.reset()
    assert inner.seen == [20]


def test_an_inner_env_that_is_exchanged_is_served(writer, env):
    env.reset()
    env.env = RecordingEnv()
    writer.publish({STEPS: 20})
    env.reset()
    assert env.env.seen == [20]


def test_reset_passes_seed_and_options_and_returns_what_the_env_returns(writer, env):
    class Asked(PlainEnv):
        def reset(self, *, seed=None, options=None):
            self.asked = seed, options
            return super().reset(seed=seed, options=options)

    env = traincast.TrainingInfoWrapper(Asked(), writer.name, on_undelivered="ignore")
    observation, info = env.reset(seed=3, options={"a": 1})
    assert env.unwrapped.asked == (3, {"a": 1})
    assert observation == np.zeros(1)
    assert info == {}
    assert env.step(1) == (np.ones(1), 1.0, False, False, {"success": 1.0})


def test_policies_have_channels_of_their_own(writer, channel_name):
    with traincast.TrainingInfoWriter(channel_name, 1) as other:
        other.publish({STEPS: 77})
        env = traincast.TrainingInfoWrapper(RecordingEnv(), channel_name, 1)
        assert env.reset()[1]["known_steps"] == 77
        env = traincast.TrainingInfoWrapper(RecordingEnv(), channel_name, policy_id=0)
        assert env.reset()[1]["known_steps"] == 10


def test_the_name_comes_from_the_environment(writer, channel_name, monkeypatch):
    env = traincast.TrainingInfoWrapper(RecordingEnv())
    monkeypatch.setenv("TRAINCAST_NAME", channel_name)
    assert env.reset()[1]["known_steps"] == 10


def test_close_closes_the_env_and_lets_go_of_the_channel(writer, env):
    class Closing(RecordingEnv):
        closed = 0

        def close(self):
            self.closed += 1

    env = traincast.TrainingInfoWrapper(Closing(), writer.name)
    env.reset()
    env.close()
    env.close()
    assert env.unwrapped.closed == 2
    assert env.reset()[1]["known_steps"] == 10  # it opens the channel again


@pytest.mark.parametrize("arguments", [{"deliver": "sometimes"}, {"on_missing": "panic"}])
def test_a_wrong_choice_names_the_right_ones(channel_name, arguments):
    with pytest.raises(ValueError, match=r"reset.*step.*both|warn.*wait.*raise.*ignore"):
        traincast.TrainingInfoWrapper(PlainEnv(), channel_name, **arguments)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "a\0b", "x" * 129])
def test_a_bad_name_is_told_at_the_first_reset(name):
    env = traincast.TrainingInfoWrapper(PlainEnv(), name)
    with pytest.raises(traincast.InvalidNameError):
        env.reset()


def test_a_vector_env_is_refused_with_the_remedy(channel_name):
    envs = gymnasium.vector.SyncVectorEnv([RecordingEnv])
    with pytest.raises(TypeError, match="SyncVectorEnv: wrap inside the functions"):
        traincast.TrainingInfoWrapper(envs, channel_name)
    envs.close()


def test_anything_else_is_refused_with_the_remedy(channel_name):
    with pytest.raises(TypeError, match=r"gymnasium\.Env, not builtins\.object.*TrainingInfoReader"):
        traincast.TrainingInfoWrapper(object(), channel_name)
