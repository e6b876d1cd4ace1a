"""`ProgressCurriculum`: attributes follow the training, wherever they are defined."""

from __future__ import annotations

import copy
import pickle
import warnings
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from recording_envs import STEPS, ForwardingWrapper, PlainEnv, RecordingEnv

import traincast
from traincast.curriculum import Apply, Linear, Milestones, ProgressCurriculum

# pytest-timeout's watchdog is a thread, of which Python 3.12 and newer warn at a fork.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

SCHEDULE = Linear(0.0, 10.0, duration=100)


def curriculum(env=None, **arguments):
    return ProgressCurriculum(env or PlainEnv(), {"difficulty": SCHEDULE}, **arguments)


def known(env, steps):
    env.set_training_info({STEPS: steps})
    env.reset()
    return env


def test_an_attribute_follows_the_training_steps():
    env = curriculum()
    for steps in (0, 50, 100, 200):
        known(env, steps)
    assert env.unwrapped.difficulties == [0, 5, 10, 10]


def test_it_is_set_before_the_reset_and_at_no_other_time():
    env = known(curriculum(), 10)
    env.set_training_info({STEPS: 20})
    env.step(0)
    assert env.unwrapped.difficulty == 1
    env.reset()
    assert env.unwrapped.difficulties == [1, 2]


def test_it_is_set_again_where_the_env_itself_changes_it():
    env = known(curriculum(), 10)
    env.unwrapped.difficulty = "changed in the episode"
    env.reset()
    assert env.unwrapped.difficulties == [1, 1]


def test_until_there_is_information_the_training_has_just_begun():
    env = curriculum()
    assert env.progress == 0
    env.reset()
    assert env.unwrapped.difficulties == [0]


def test_the_steps_before_any_information_can_be_given():
    env = curriculum(default=100)  # as an evaluation would
    env.reset()
    assert env.unwrapped.difficulties == [10]
    assert known(env, 50).unwrapped.difficulties == [10, 5]


def test_attributes_can_be_left_alone_until_there_is_information():
    env = curriculum(default=None)
    assert env.progress is None
    env.reset()
    assert known(env, 50).unwrapped.difficulties == ["as built", 5]


def test_another_key_can_measure_the_progress():
    env = curriculum(key="mean_success")
    env.set_training_info({STEPS: 0, "mean_success": 30})
    env.reset()
    assert env.unwrapped.difficulties == [3]


def test_information_without_the_measure_is_an_error():
    env = curriculum(key="mean_sucess")
    env.set_training_info({STEPS: 0, "mean_success": 30})
    with pytest.raises(traincast.MissingKeyError, match=r"no 'mean_sucess'.*'mean_success'\]"):
        env.reset()
    assert env.unwrapped.difficulties == []


@pytest.mark.parametrize("nothing", [None, float("nan"), np.float32("nan")], ids=["None", "nan", "float32"])
def test_a_progress_that_is_no_number_leaves_the_curriculum_where_it_was(nothing):
    """A success rate before the first episode has ended, say: compared with milestones, nan is the last."""
    env = ProgressCurriculum(PlainEnv(), {"difficulty": Milestones("easy", ((0.5, "hard"),))}, key="rate")
    for rate, difficulty in ((nothing, "easy"), (0.7, "hard"), (nothing, "hard"), (0.2, "easy")):
        env.set_training_info({STEPS: 1, "rate": rate})
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            env.reset()
        assert env.unwrapped.difficulty == difficulty
        if rate is nothing and difficulty == "easy":
            assert "under 'rate', which is no progress" in str(said[0].message)
        else:
            assert not said  # once


def test_any_callable_is_a_schedule():
    env = ProgressCurriculum(PlainEnv(), {"difficulty": lambda steps: f"after {steps}", "reward": SCHEDULE})
    known(env, 50)
    assert env.unwrapped.difficulty == "after 50"
    assert env.values == {"difficulty": "after 50", "reward": 5}
    assert env.step(0)[1] == 5


def test_values_of_other_types_can_be_set():
    levels = {"difficulty": Milestones("walls", ((10, "doors"),)), "length": Apply(round, Linear(1, 9, 16))}
    env = known(ProgressCurriculum(PlainEnv(), levels), 12)
    assert (env.unwrapped.difficulty, env.unwrapped.length) == ("doors", 7)


def test_seed_options_and_results_pass_through():
    class Asked(PlainEnv):
        def reset(self, *, seed=None, options=None):
            self.asked = seed, options
            super().reset(seed=seed)
            return "observation", {"a": 1}

    env = curriculum(Asked(), info_key=None)
    assert env.reset(seed=3, options={"b": 2}) == ("observation", {"a": 1})
    assert env.unwrapped.asked == (3, {"b": 2})


# --- where the attribute is ---


def test_an_attribute_is_found_however_deep():
    env = curriculum(gymnasium.make("Recording-v0"))
    assert known(env, 50).unwrapped.difficulties == [5]


def test_an_attribute_is_found_below_wrappers_that_forward_attributes():
    inner = PlainEnv()
    env = known(curriculum(ForwardingWrapper(ForwardingWrapper(inner))), 50)
    assert inner.difficulties == [5]
    assert "difficulty" not in vars(env.env)
    assert "difficulty" not in vars(env)


def test_the_outermost_env_that_defines_the_attribute_gets_it():
    class Own(gymnasium.Wrapper):
        difficulty = "of the class"

    env = known(curriculum(gymnasium.Wrapper(Own(PlainEnv()))), 50)
    assert env.env.env.difficulty == 5
    assert Own.difficulty == "of the class"
    assert env.unwrapped.difficulties == ["as built"]


def test_a_property_or_a_slot_can_be_set():
    class Slotted:
        __slots__ = ("difficulty",)

    class WithProperty(PlainEnv):
        @property
        def gravity(self):
            return self._gravity

        @gravity.setter
        def gravity(self, value):
            self._gravity = -value

    inner = WithProperty()
    inner._env = Slotted()
    del inner.difficulty
    env = ProgressCurriculum(inner, {"gravity": SCHEDULE, "difficulty": SCHEDULE})
    env.set_training_info({STEPS: 50})
    with pytest.raises(AttributeError):
        env.reset()  # PlainEnv.reset misses what was deleted; both attributes are set by then
    assert (inner.gravity, inner._env.difficulty) == (-5, 5)


def test_every_env_of_one_that_holds_several_is_set():
    class Team(PlainEnv):
        def __init__(self):
            super().__init__()
            del self.difficulty
            self.envs = [gymnasium.Wrapper(PlainEnv()) for _ in range(3)]

        def reset(self, **arguments):
            first, *_ = [env.reset(**arguments) for env in self.envs]
            return first

    env = known(curriculum(Team()), 50)
    assert [inner.unwrapped.difficulties for inner in env.unwrapped.envs] == [[5]] * 3


def test_a_misspelt_attribute_is_an_error():
    env = ProgressCurriculum(PlainEnv(), {"dificulty": SCHEDULE})
    with pytest.raises(AttributeError, match="defines an attribute 'dificulty'"):
        env.reset()
    assert not hasattr(env.unwrapped, "dificulty")


def test_an_exchanged_inner_env_is_set_too():
    env = known(curriculum(), 50)
    env.env = PlainEnv()
    assert known(env, 60).unwrapped.difficulties == [6]


# --- as a training info interface ---


def test_it_is_found_and_hands_on_what_it_receives():
    env = curriculum(gymnasium.Wrapper(RecordingEnv()))
    assert isinstance(env, traincast.TrainingInfoInterface)
    assert traincast.find_training_info_interface(gymnasium.Wrapper(env)) is env
    assert traincast.set_training_info(env, {STEPS: 50}) == 1
    env.reset()
    assert env.training_info == {STEPS: 50}
    assert env.unwrapped.training_info == {STEPS: 50}
    assert env.unwrapped.difficulties == [5]


def test_the_env_cannot_spoil_the_curriculums_information():
    class Spoiling(RecordingEnv):
        def set_training_info(self, training_info):
            training_info.clear()

    assert known(curriculum(Spoiling()), 50).unwrapped.difficulty == 5


def test_curricula_stack():
    env = ProgressCurriculum(curriculum(RecordingEnv()), {"reward": SCHEDULE})
    known(env, 50)
    assert (env.unwrapped.difficulty, env.unwrapped.reward, env.unwrapped.seen) == (5, 5, [50])


def test_it_follows_a_channel(channel_name):
    env = traincast.TrainingInfoWrapper(curriculum(RecordingEnv()), channel_name)
    env.reset()
    with traincast.TrainingInfoWriter(channel_name) as writer:
        for steps in (10, 20, 30):
            writer.publish({STEPS: steps})
            env.reset()
    assert env.unwrapped.difficulties == [0, 1, 2, 3]
    assert env.unwrapped.seen == [10, 20, 30]


def make_fed(name):
    return traincast.TrainingInfoWrapper(curriculum(), name)


@pytest.mark.parametrize("kind", [gymnasium.vector.SyncVectorEnv, gymnasium.vector.AsyncVectorEnv])
def test_it_follows_a_channel_in_vector_envs(channel_name, kind):
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({STEPS: 50})
        envs = kind([partial(make_fed, channel_name) for _ in range(2)])
        envs.reset()
        inner = envs.call("unwrapped")
        assert [env.difficulties for env in inner] == [[5], [5]]
        envs.close()


# --- Gymnasium's conventions ---


@pytest.mark.filterwarnings("ignore:.*WARN:UserWarning")  # of every wrapper
def test_gymnasiums_checker_passes():
    check_env(curriculum(), skip_render_check=True)


def test_the_spec_makes_the_same_env():
    env = curriculum(gymnasium.make("Recording-v0"), key="k", default=7)
    assert env.spec.additional_wrappers[-1].entry_point == "traincast.curriculum:ProgressCurriculum"
    twin = gymnasium.make(env.spec)
    assert twin.spec == env.spec
    twin.reset()
    assert twin.unwrapped.difficulties == [pytest.approx(0.7)]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_are_independent(duplicate):
    env = known(curriculum(gymnasium.Wrapper(PlainEnv())), 50)
    twin = duplicate(env)
    known(twin, 60)
    assert twin.unwrapped.difficulties == [5, 6]
    assert env.unwrapped.difficulties == [5]
    assert env.training_info == {STEPS: 50}
