"""What a callback publishes beside the steps, and what becomes of what a user may get wrong."""

from __future__ import annotations

import pickle

import cloudpickle
import gymnasium
import numpy as np
import pytest
from recording_envs import STEPS, PlainEnv, RecordingEnv
from sb3_trainings import make_model, make_venv, steps_told, told
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

import traincast
from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum
from traincast.integrations.stable_baselines3 import TrainingInfoCallback


def test_a_mapping_is_published_with_every_step():
    info = TrainingInfoCallback({"bonus": 0.5})
    venv = make_venv(info)
    make_model(venv).learn(16, callback=info)
    assert [one["bonus"] for one in told(venv)[0]] == [0.5] * len(told(venv)[0])
    assert steps_told(venv)[0][-1] > 0


def test_a_function_gets_the_callback_and_the_first_reset_what_it_would_return():
    asked = []

    def more(callback):
        asked.append(callback.num_timesteps)
        assert callback is info
        assert callback.model is model
        assert callback.training_env is venv
        return {"doubled": 2 * callback.num_timesteps} if callback.num_timesteps else None

    info = TrainingInfoCallback(more, first_info={"doubled": -1})
    venv = make_venv(info)
    model = make_model(venv)
    model.learn(16, callback=info)
    assert asked == list(range(0, 17, 2))
    for infos in told(venv):
        assert infos[0] == {STEPS: 0, "doubled": -1}
        assert len(infos) > 1
        assert all(one["doubled"] == 2 * one[STEPS] for one in infos[1:])


def test_an_exception_of_the_function_ends_the_training():
    def more(callback):
        return {"share": 1 / (callback.num_timesteps - 8)}

    info = TrainingInfoCallback(more)
    venv = make_venv(info)
    with pytest.raises(ZeroDivisionError):
        make_model(venv).learn(16, callback=info)


def test_the_run_of_the_caller_is_used(channel_name):
    with traincast.Run(channel_name, unique=False) as run:
        info = TrainingInfoCallback({"bonus": 1}, run=run, start=5)
        assert info.run is run
        assert run.state_dict()["training_info"] == {STEPS: 5, "bonus": 1}


def test_options_are_those_of_a_run(channel_name):
    info = TrainingInfoCallback(name=channel_name, unique=False, verbose=1)
    assert info.run.name == channel_name
    assert info.verbose == 1


@pytest.mark.parametrize("arguments", [{"training_info": 3}, {"start": 1.5}, {"start": -1}, {"naem": "x"}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises((TypeError, ValueError)):
        TrainingInfoCallback(**arguments)


@pytest.mark.parametrize("kind", [list, CallbackList], ids=["list", "CallbackList"])
def test_it_works_among_other_callbacks(kind):
    class Stop(BaseCallback):
        def _on_step(self):
            return self.num_timesteps < 10

    info = TrainingInfoCallback()
    venv = make_venv(info)
    make_model(venv).learn(100, callback=kind([Stop(), info]))
    assert info.run.steps == 10


# What travels.


def test_wrap_env_travels_without_the_model():
    info = TrainingInfoCallback(lambda callback: None)
    venv = make_venv(info)
    make_model(venv).learn(8, callback=info)
    for wrap in (info.wrap_env, info.wrap_eval_env):
        assert len(pickle.dumps(wrap)) < 1000
    env = pickle.loads(pickle.dumps(info.wrap_env))(RecordingEnv())
    env.reset()
    assert env.training_info == {STEPS: 8}
    assert pickle.loads(pickle.dumps(info.wrap_env_fn(RecordingEnv)))().reset()[1]["known_steps"] == 8


def test_an_env_function_may_refer_to_the_callback():
    info = TrainingInfoCallback(lambda callback: None)
    venv = make_venv(info)
    make_model(venv).learn(8, callback=info)

    def make_env():
        return info.wrap_env(RecordingEnv())

    assert len(cloudpickle.dumps(info)) < 1000
    workers = SubprocVecEnv([make_env], start_method="forkserver")
    workers.reset()
    assert [reset["known_steps"] for reset in workers.reset_infos] == [8]
    workers.close()


# Env checkers.


class DictEnv(RecordingEnv):
    observation_space = gymnasium.spaces.Dict(
        {"count": gymnasium.spaces.Box(0.0, 1e6, (1,), np.float32), "kind": gymnasium.spaces.Discrete(3)}
    )
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def _observation(self):
        return {"count": np.array([self.count], np.float32), "kind": 1}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make_env", [RecordingEnv, DictEnv, lambda: gymnasium.make("Recording-v0")])
@pytest.mark.parametrize("wrap", ["wrap_env", "wrap_eval_env"])
def test_check_env_passes(make_env, wrap):
    info = TrainingInfoCallback()
    info.run.publish(3)
    env = make_env()
    env = ProgressCurriculum(env, {"difficulty": Linear(0.0, 1.0, 10)})
    env = PerformanceCurriculum(env, {"reward": (1.0, 2.0)}, promote_at=0.5)
    env = getattr(info, wrap)(env, info_key="training_info")
    check_env(env)
    assert env.training_info == {STEPS: 3}


# Evaluation.


def test_an_evaluation_sees_what_it_is_given_and_leaves_the_training_alone():
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.evaluation import evaluate_policy

    info = TrainingInfoCallback()
    venv = make_vec_env(RecordingEnv, 2, wrapper_class=info.wrap_env)
    given = make_vec_env(
        RecordingEnv, 2, wrapper_class=info.wrap_eval_env, wrapper_kwargs={"training_info": {STEPS: 900}}
    )
    frozen = make_vec_env(RecordingEnv, 2, wrapper_class=info.wrap_eval_env)
    model = make_model(venv)
    evaluations = [EvalCallback(each, eval_freq=5, n_eval_episodes=4, verbose=0) for each in (given, frozen)]
    model.learn(40, callback=[info, *evaluations])
    evaluate_policy(model, given)
    evaluate_policy(model, frozen)
    assert steps_told(given) == [[900], [900]]
    assert steps_told(frozen) == [[10], [10]]
    for steps in steps_told(venv):
        assert steps == sorted(steps)
        assert steps[-1] > 20


def test_an_evaluation_that_froze_the_start_is_told():
    info = TrainingInfoCallback()
    eval_env = info.wrap_eval_env(RecordingEnv())
    with pytest.warns(traincast.TraincastWarning, match="at the start of the training"):
        eval_env.reset()


# Slips.


def test_envs_that_nobody_wrapped_are_told():
    info = TrainingInfoCallback()
    venv = DummyVecEnv([RecordingEnv] * 2)
    with pytest.warns(traincast.TraincastWarning, match="no env reads run .*wrapper_class=info.wrap_env"):
        make_model(venv).learn(16, callback=info)


@pytest.mark.parametrize("cls", [DummyVecEnv, SubprocVecEnv])
def test_envs_of_another_run_are_told(cls):
    options = {} if cls is DummyVecEnv else {"start_method": "fork"}
    first = TrainingInfoCallback()
    venv = make_venv(first, cls=cls, **options)
    make_model(venv).learn(8, callback=first)
    second = TrainingInfoCallback()  # as in a notebook whose cells are run again, but one
    with pytest.warns(traincast.TraincastWarning, match="wrapped for another run stay with that"):
        make_model(venv).learn(16, callback=second)
    venv.close()


def test_a_vec_env_is_not_wrapped_as_one():
    info = TrainingInfoCallback()
    venv = DummyVecEnv([PlainEnv] * 2)
    with pytest.raises(TypeError, match=r"make_vec_env\(\.\.\., wrapper_class=run\.wrap_env\)"):
        info.wrap_env(venv)


def test_an_env_that_takes_nothing_is_told():
    info = TrainingInfoCallback()
    venv = make_venv(info, PlainEnv)
    with pytest.warns(traincast.TraincastWarning, match="reached nobody") as caught:
        make_model(venv).learn(8, callback=info)
    assert caught[0].filename == __file__  # the line of the user's, not one of Stable-Baselines3


def test_a_closed_run_cannot_go_on():
    info = TrainingInfoCallback()
    venv = make_venv(info)
    info.run.close()
    with pytest.raises(traincast.ChannelClosedError):
        make_model(venv).learn(8, callback=info)
