"""`PerformanceCurriculum`: the level of each env instance follows the results in that instance."""

from __future__ import annotations

import copy
import json
import pickle
from functools import partial

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from recording_envs import STEPS, ForwardingWrapper, PlainEnv, RecordingEnv

import traincast
from traincast.curriculum import Milestones, PerformanceCurriculum, ProgressCurriculum

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

ATTRIBUTES = {"difficulty": ("easy", "middling", "hard")}


class SkillEnv(PlainEnv):
    """An episode of two steps; `skill` is what the agent of this instance earns in each."""

    def __init__(self, skill=1.0):
        super().__init__(length=2)
        self.skill = skill

    def step(self, action):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, self.skill, terminated, truncated, info


def curriculum(env=None, attributes=None, **arguments):
    arguments = {"promote_at": 2.0, "demote_at": 0.0, "window": 2} | arguments
    return PerformanceCurriculum(env or SkillEnv(), attributes or ATTRIBUTES, **arguments)


def play(env, episodes=1):
    """Play whole episodes; returns the level that each one's reset told."""
    levels = []
    for _ in range(episodes):
        levels.append(env.reset()[1]["curriculum"]["level"])
        done = False
        while not done:
            _, _, terminated, truncated, _ = env.step(0)
            done = terminated or truncated
    return levels


def test_success_moves_up_to_the_last_value():
    env = curriculum()
    assert play(env, 7) == [0, 0, 1, 1, 2, 2, 2]
    assert env.unwrapped.difficulties == ["easy"] * 2 + ["middling"] * 2 + ["hard"] * 3


def test_failure_moves_down_and_the_space_between_holds():
    env = curriculum(initial_level=2)
    env.unwrapped.skill = -1.0
    assert play(env, 2) == [2, 2]
    env.unwrapped.skill = 0.5
    assert play(env, 10) == [1] * 10
    env.unwrapped.skill = -1.0
    assert play(env, 7)[-1] == 0


def test_each_instance_has_a_level_of_its_own():
    envs = [curriculum(SkillEnv(skill)) for skill in (-1.0, 0.5, 1.0)]
    assert [play(env, 5)[-1] for env in envs] == [0, 0, 2]


def test_the_level_changes_at_a_reset_only():
    env = curriculum(window=1)
    play(env)
    assert env.level == 1
    assert env.unwrapped.difficulty == "easy"
    env.reset()
    assert env.unwrapped.difficulty == "middling"


def test_abandoned_episodes_do_not_count():
    env = curriculum()
    for _ in range(5):
        env.reset()
        env.step(0)
    assert env.average is None
    play(env)
    assert env.average == 2.0


def test_the_episodes_of_an_env_that_resets_itself_are_told_apart():
    class SelfResetting(gymnasium.Wrapper):
        def step(self, action):
            result = self.env.step(action)
            if result[2]:
                self.env.reset()
            return result

    env = curriculum(SelfResetting(SkillEnv()), promote_at=100, window=10)
    env.reset()
    for _ in range(6):
        env.step(0)
    assert env.average == 2.0


def test_the_return_is_summed_per_episode():
    env = curriculum(promote_at=100, window=10)
    play(env, 3)
    assert env.average == 2.0


def test_truncated_episodes_count():
    env = curriculum(gymnasium.wrappers.TimeLimit(PlainEnv(length=100), 3), statistic="length", promote_at=3)
    assert play(env, 3) == [0, 0, 1]


def test_other_statistics():
    env = curriculum(PlainEnv(), statistic="success", promote_at=1)
    assert play(env, 3)[-1] == 1
    env = curriculum(PlainEnv(), statistic="length", promote_at=3, demote_at=9, higher_is_better=False)
    assert play(env, 3)[-1] == 1
    env = curriculum(
        PlainEnv(), statistic=lambda episode: episode.total_reward / episode.length, promote_at=1
    )
    assert play(env, 3)[-1] == 1


def test_a_statistic_that_is_not_there_is_an_error():
    with pytest.raises(KeyError, match="'succes'"):
        play(curriculum(statistic="succes"))


def test_the_level_may_be_computed():
    env = curriculum(attributes={"difficulty": lambda level: level * 10, "length": [2, 3]}, window=1)
    assert play(env, 4) == [0, 1, 1, 1]
    assert env.unwrapped.difficulties == [0, 10, 10, 10]
    env = curriculum(attributes={"difficulty": lambda level: level}, min_level=-5, initial_level=0, window=1)
    assert play(env, 20)[-1] == 19  # nothing bounds it
    env = curriculum(attributes={"difficulty": lambda level: level}, max_level=3, window=1)
    assert play(env, 20)[-1] == 3


def test_minimum_episodes_and_bounds():
    env = curriculum(window=1, min_episodes=3, max_level=1)
    assert play(env, 8) == [0, 0, 0, 1, 1, 1, 1, 1]
    env = curriculum(SkillEnv(-1.0), window=1, min_level=1, initial_level=2)
    assert play(env, 4) == [2, 1, 1, 1]


def test_attributes_change_where_they_are_defined():
    inner = PlainEnv()
    env = curriculum(ForwardingWrapper(gymnasium.Wrapper(inner)))
    env.reset()
    assert inner.difficulties == ["easy"]
    with pytest.raises(AttributeError, match="'dificulty'"):
        curriculum(attributes={"dificulty": (1, 2)}).reset()


def test_seed_options_and_results_pass_through():
    class Asked(PlainEnv):
        def reset(self, *, seed=None, options=None):
            self.asked = seed, options
            super().reset(seed=seed)
            return "observation", {"a": 1}

    env = curriculum(Asked(), info_key=None)
    assert env.reset(seed=3, options={"b": 2}) == ("observation", {"a": 1})
    assert env.unwrapped.asked == (3, {"b": 2})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_level": 3}, "max_level is 3, but attributes has values only up to level 2"),
        ({"min_level": -1}, "min_level is -1, but a sequence of values begins at level 0"),
        ({"min_level": 3}, "no level within"),
        ({"initial_level": 3}, "level 3 is not within"),
        ({"demote_at": 2.0}, "hysteresis"),
        ({"window": 0}, "window must be at least 1"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        curriculum(**arguments)


def test_an_attribute_needs_a_value():
    with pytest.raises(ValueError, match="no level within"):
        curriculum(attributes={"difficulty": ()})


# --- saving and restoring ---


def test_the_state_survives_json():
    env = curriculum(window=3)
    play(env, 4)
    twin = curriculum(window=3)
    twin.load_state_dict(json.loads(json.dumps(env.state_dict())))
    assert (twin.level, twin.average) == (env.level, env.average) == (1, 2.0)
    assert play(twin, 3) == play(env, 3) == [1, 1, 2]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_are_independent(duplicate):
    env = curriculum(window=1)
    play(env)
    twin = duplicate(env)
    assert play(twin, 2) == [1, 2]
    assert env.level == 1
    assert env.unwrapped.difficulties == ["easy"]


def make_skilled(skill):
    return curriculum(SkillEnv(skill), window=1, info_key=None)


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
def test_the_states_of_a_vector_env_are_saved_and_restored_one_by_one(kind):
    skills = (-1.0, 0.5, 1.0)
    envs = kind([partial(make_skilled, skill) for skill in skills])
    envs.reset()
    for _ in range(12):
        envs.step(envs.action_space.sample() * 0)
    states = list(envs.get_attr("curriculum_state"))
    assert [state["level"] for state in states] == [0, 0, 2]
    envs.close()
    envs = kind([partial(make_skilled, skill) for skill in skills])
    envs.set_attr("curriculum_state", states)
    assert list(envs.call("state_dict")) == states
    envs.close()


# --- with a curriculum by training progress ---


def test_the_progress_bounds_the_level():
    env = ProgressCurriculum(curriculum(window=1), {"max_level": Milestones(0, ((100, 1.9), (200, 2)))})
    assert play(env, 3) == [0, 0, 0]
    env.set_training_info({STEPS: 100})
    assert play(env, 4) == [0, 1, 1, 1]
    env.set_training_info({STEPS: 200})
    assert play(env, 3) == [1, 2, 2]
    env.set_training_info({STEPS: 0})
    assert play(env, 1) == [0]


def test_the_progress_may_lift_the_lowest_level():
    env = ProgressCurriculum(curriculum(SkillEnv(-1.0)), {"min_level": Milestones(0, ((100, 1),))})
    assert play(env, 2) == [0, 0]
    env.set_training_info({STEPS: 100})
    assert play(env, 3) == [1, 1, 1]


def test_bounds_never_leave_the_values_given():
    env = ProgressCurriculum(curriculum(window=1), {"max_level": Milestones(99, ((1, 99),))})
    assert play(env, 5)[-1] == 2
    assert env.env.max_level == 2
    env.env.min_level = 0
    assert env.env.min_level == 0


def test_the_level_can_be_set():
    env = curriculum()
    env.level = 2
    assert play(env, 1) == [2]
    env.level = 99
    assert play(env, 1) == [2]


def test_both_kinds_fed_from_a_channel(channel_name):
    inner = RecordingEnv()
    env = curriculum(inner, promote_at=3.0, window=1)
    env = ProgressCurriculum(
        env, {"max_level": Milestones(0, ((100, 2),)), "length": Milestones(3, ((100, 4),))}
    )
    env = traincast.TrainingInfoWrapper(env, channel_name)
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 10})
        assert play(env, 2) == [0, 0]
        writer.publish({STEPS: 100})
        assert play(env, 4) == [0, 1, 2, 2]
    assert inner.seen == [10, 100]
    assert inner.length == 4


# --- Gymnasium's conventions ---


def test_large_values_are_not_copied():
    class Handle:
        def __deepcopy__(self, memo):
            raise AssertionError("copied")

    handle = Handle()
    env = curriculum(gymnasium.make("Recording-v0"), attributes={"difficulty": (handle,)})
    gymnasium.make(env.spec).reset()
    env.reset()
    assert env.unwrapped.difficulty is handle


@pytest.mark.filterwarnings("ignore:.*WARN:UserWarning")  # of every wrapper
def test_check_env():
    check_env(curriculum(), skip_render_check=True)


def test_the_spec_makes_the_same_env():
    env = curriculum(gymnasium.make("Recording-v0"), window=1, promote_at=3.0, initial_level=1)
    assert env.spec.additional_wrappers[-1].entry_point == "traincast.curriculum:PerformanceCurriculum"
    twin = gymnasium.make(env.spec)
    assert twin.spec == env.spec
    assert play(twin, 2) == [1, 2]
