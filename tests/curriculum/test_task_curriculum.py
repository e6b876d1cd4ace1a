"""`TaskCurriculum`: the env's side. What it plays, how it draws, where it counts, and what it says."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from climbing import LevelEnv, climbing
from gymnasium.utils.env_checker import check_env

import traincast
from traincast.curriculum import TaskCurriculum, TaskSampler

STEPS = "approx_total_training_steps"


class OptionEnv(LevelEnv):
    """Takes its task from the options of `reset`, or from a method."""

    learned = 0.5

    def reset(self, *, seed=None, options=None):
        self.options = options
        return super().reset(seed=seed, options=options)

    def set_level(self, level):
        self.level = level


@pytest.fixture
def sampler():
    with traincast.Run("sampler") as run:
        yield TaskSampler(run, tasks=5)


def tasks_of(env, count):
    return [int(env.reset()[1]["curriculum"]["task"]) for _ in range(count)]


def test_tasks_are_drawn_with_the_published_probabilities(sampler):
    sampler.give_scores(range(5), [5, 4, 3, 2, 1])
    sampler.update()
    env = sampler.run.wrap_env(TaskCurriculum(LevelEnv(), "level"))
    env.reset(seed=1)
    drawn = np.bincount(tasks_of(env, 4_000), minlength=5) / 4_000
    assert np.abs(drawn - sampler.probabilities).max() < 0.04  # five standard deviations of a half


def test_a_task_without_probability_is_never_drawn(sampler):
    env = TaskCurriculum(LevelEnv(), "level")
    for probabilities in ([0, 1, 0, 0, 0], [0, 0.1, 0, 0.9, 0], [0.3, 0.7, 0.0, 0.0, 0.0]):
        array = np.array(probabilities)
        env.set_training_info({STEPS: 0, "curriculum": {"probabilities": array, "tasks": 5}})
        assert set(tasks_of(env, 300)) <= set(np.flatnonzero(array))


def test_a_seed_or_a_state_makes_the_same_draws_again(sampler):
    env = sampler.run.wrap_env(TaskCurriculum(LevelEnv(), "level"))
    env.reset(seed=7)
    first = tasks_of(env, 50)
    state = env.get_wrapper_attr("curriculum_state")
    second = tasks_of(env, 50)
    env.reset(seed=7)
    assert tasks_of(env, 50) == first != second
    again = sampler.run.wrap_env(TaskCurriculum(LevelEnv(), "level"))
    again.env.curriculum_state = state
    assert tasks_of(again, 50) == second
    env.reset(seed=8)
    assert tasks_of(env, 50) != first


def test_the_task_reaches_attributes_methods_and_options(sampler):
    sampler.give_scores([3], [1.0])
    attributes = {"set_level": [0, 10, 20, 30, 40], "learned": float}
    env = sampler.run.wrap_env(TaskCurriculum(OptionEnv(), attributes, option="task"))
    _, info = env.reset(options={"other": 1})
    task = int(info["curriculum"]["task"])
    inner = env.unwrapped
    assert (inner.level, inner.learned, inner.options) == (10 * task, task, {"other": 1, "task": task})


def test_the_score_of_the_env_is_that_of_the_task(sampler):
    env = sampler.run.wrap_env(TaskCurriculum(OptionEnv(), "level", score="learned"))
    _, info = env.reset()
    env.step(0), env.step(0)
    sampler.update()
    assert sampler.scores[int(info["curriculum"]["task"])] == 0.5


def test_an_abandoned_episode_and_steps_after_the_end_do_not_count(sampler):
    env = sampler.run.wrap_env(TaskCurriculum(LevelEnv(), "level"))
    env.reset(), env.step(0), env.reset(), env.step(0), env.step(0), env.step(0)
    sampler.update()
    assert sampler.episodes == 1


def test_no_success_is_missed_where_nothing_needs_one(sampler):
    class Silent(LevelEnv):
        def step(self, action):
            return *super().step(action)[:4], {}

    env = sampler.run.wrap_env(TaskCurriculum(Silent(), "level"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset(), env.step(0), env.step(0)
    with traincast.Run("success", curriculum=climbing()) as run:
        env = run.wrap_env(TaskCurriculum(Silent(), "level"))
        env.reset(), env.step(0)
        with pytest.warns(traincast.TraincastWarning, match="none counts as a success"):
            env.step(0)


@pytest.mark.filterwarnings("ignore::UserWarning")  # what the checker says of every wrapped env
def test_it_is_an_env_as_the_checker_wants_it(sampler):
    check_env(sampler.run.wrap_env(TaskCurriculum(LevelEnv(), "level")), skip_render_check=True)


# What can be wrong.


def test_training_information_without_a_task_says_so_once():
    env = TaskCurriculum(LevelEnv(), "level")
    env.set_training_info({STEPS: 0})
    with pytest.warns(traincast.TraincastWarning, match=r"no task in 100 resets.*no 'curriculum'") as said:  # noqa: PT031
        for _ in range(250):
            env.reset()
    assert len(said) == 1
    assert env.unwrapped.level == -1
    quiet = TaskCurriculum(LevelEnv(), "level", key="other", on_missing="ignore")
    quiet.set_training_info({STEPS: 0})
    for _ in range(250):
        quiet.reset()


def test_nobody_around_it_and_the_wrong_order_are_told():
    with pytest.warns(traincast.TraincastWarning, match=r"no training information in 100 resets"):  # noqa: PT031
        env = TaskCurriculum(LevelEnv(), "level")
        for _ in range(100):
            env.reset()
    with traincast.Run("order") as run:
        env = TaskCurriculum(run.wrap_env(LevelEnv(), on_undelivered="ignore"), "level")
        with pytest.warns(traincast.TraincastWarning, match=r"TrainingInfoWrapper\(TaskCurriculum\(env"):
            env.reset()


@pytest.mark.parametrize(
    "entry",
    [{"level": level} for level in (-1, 3, 0.5, "1", None, float("nan"))]
    + [{"probabilities": np.array(probabilities)} for probabilities in ([], [0.0] * 3, [np.nan] * 3)],
    ids=str,
)
def test_an_entry_that_names_no_task_is_refused_and_plays_none(entry):
    env = TaskCurriculum(LevelEnv(), {"level": [10, 20, 30]})
    env.set_training_info({STEPS: 0, "curriculum": {**entry, "tasks": 3}})
    with pytest.raises(ValueError, match="which is not from a PooledCurriculum or TaskSampler"):
        env.reset()
    assert (env.task, env.unwrapped.level) == (None, -1)


def test_what_cannot_be_is_refused():
    with pytest.raises(TypeError, match="give attributes=, or option="):
        TaskCurriculum(LevelEnv())
    with pytest.raises(ValueError, match="on_missing must be one of"):
        TaskCurriculum(LevelEnv(), "level", on_missing="raise")
    with traincast.Run("refused", curriculum=climbing()) as run:
        with pytest.raises(AttributeError, match="did you mean 'level'"):
            run.wrap_env(TaskCurriculum(LevelEnv(), "levle")).reset()
        env = TaskCurriculum(LevelEnv(), "level", key=STEPS)
        with pytest.raises(ValueError, match="which is not from a PooledCurriculum or TaskSampler"):
            run.wrap_env(env).reset()
