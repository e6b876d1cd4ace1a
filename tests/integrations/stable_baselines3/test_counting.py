"""The training steps go on: at a second `learn()`, after a checkpoint, after the death of a worker."""

from __future__ import annotations

import os
import signal

import pytest
from recording_envs import STEPS
from sb3_trainings import ALGORITHMS, make_model, make_venv, steps_told
from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import EvalCallback, EveryNTimesteps
from stable_baselines3.common.vec_env import SubprocVecEnv

import traincast
from traincast.integrations.stable_baselines3 import TrainingInfoCallback


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("anew", [True, False], ids=["count anew", "count on"])
def test_a_second_learn_goes_on_counting(algorithm, anew):
    info = TrainingInfoCallback()
    venv = make_venv(info, ALGORITHMS[algorithm][1])
    model = make_model(venv, algorithm)
    model.learn(24, callback=info)
    assert info.run.steps == model.num_timesteps == 24
    model.learn(24, callback=info, reset_num_timesteps=anew)
    assert info.run.steps == 48
    for steps in steps_told(venv):
        assert steps == sorted(steps)
        assert steps[0] == 0
        assert steps.count(0) == 1
        # Episodes of three steps in two envs; the step that ends one is counted after the reset.
        assert set(range(4, 48, 6)) <= set(steps)


def test_the_first_reset_of_a_second_learn_is_at_the_count_of_the_first():
    info = TrainingInfoCallback()
    venv = make_venv(info)
    model = make_model(venv)
    model.learn(40, callback=info)
    before = len(steps_told(venv)[0])
    model.learn(8, callback=info)
    assert steps_told(venv)[0][before] == 40


@pytest.mark.parametrize("anew", [True, False], ids=["count anew", "count on"])
def test_a_checkpoint_goes_on_where_it_was(tmp_path, anew):
    info = TrainingInfoCallback()
    model = make_model(make_venv(info))
    model.learn(40, callback=info)
    model.save(tmp_path / "model")
    info.run.close()

    model = A2C.load(tmp_path / "model")
    assert model.num_timesteps == 40
    info = TrainingInfoCallback(start=model.num_timesteps)
    venv = make_venv(info)
    model.set_env(venv)
    model.learn(16, callback=info, reset_num_timesteps=anew)
    assert info.run.steps == 56
    assert [steps[0] for steps in steps_told(venv)] == [40, 40]


def test_the_state_of_the_run_is_a_checkpoint_of_the_count(tmp_path):
    info = TrainingInfoCallback({"stage": 2})
    model = make_model(make_venv(info))
    model.learn(40, callback=info)
    model.learn(8, callback=info)  # the model counts from 0
    model.save(tmp_path / "model")
    state = info.run.state_dict()
    info.run.close()

    info = TrainingInfoCallback(state=state)
    venv = make_venv(info)
    model = A2C.load(tmp_path / "model", env=venv)
    model.learn(8, callback=info, reset_num_timesteps=False)
    assert model.num_timesteps == 16
    assert info.run.steps == 56
    assert steps_told(venv)[0][0] == 48
    assert info.run.state_dict()["training_info"]["stage"] == 2


def test_a_resume_without_its_start_is_told(tmp_path):
    info = TrainingInfoCallback()
    model = make_model(make_venv(info))
    model.learn(40, callback=info)
    model.save(tmp_path / "model")

    forgetful = TrainingInfoCallback()
    venv = make_venv(forgetful)
    model = A2C.load(tmp_path / "model", env=venv)
    with pytest.warns(traincast.TraincastWarning, match=r"goes on from 40: .*start=model\.num_timesteps"):
        model.learn(8, callback=forgetful, reset_num_timesteps=False)
    assert forgetful.run.steps == 48


def test_a_new_model_with_the_callback_of_another_is_told():
    info = TrainingInfoCallback()
    venv = make_venv(info)
    make_model(venv).learn(16, callback=info)
    with pytest.warns(traincast.TraincastWarning, match="For a new training make a new TrainingInfoCallback"):
        make_model(venv).learn(16, callback=info)


def test_a_model_that_was_loaded_again_goes_on_with_the_same_callback(tmp_path):
    info = TrainingInfoCallback()
    venv = make_venv(info)
    model = make_model(venv)
    model.learn(16, callback=info)
    model.save(tmp_path / "model")
    A2C.load(tmp_path / "model", env=venv).learn(16, callback=info, reset_num_timesteps=False)
    assert info.run.steps == 32


def test_a_callback_that_others_trigger_never_goes_back():
    info = TrainingInfoCallback(start=100)
    venv, eval_venv = make_venv(info), make_venv(info)
    model = make_model(venv)
    best = EvalCallback(eval_venv, callback_on_new_best=info, eval_freq=4, verbose=0)
    model.learn(32, callback=[best, EveryNTimesteps(8, info)])
    assert info.run.steps == 132
    assert all(steps == sorted(steps) for steps in steps_told(venv))


def test_after_the_death_of_a_worker_new_envs_go_on():
    info = TrainingInfoCallback()
    venv = make_venv(info, cls=SubprocVecEnv, start_method="fork")
    model = make_model(venv)
    model.learn(16, callback=info)
    os.kill(venv.processes[0].pid, signal.SIGKILL)
    venv.processes[0].join()
    with pytest.raises((EOFError, ConnectionResetError, BrokenPipeError)):  # Stable-Baselines3 restarts none
        model.learn(16, callback=info)
    reached = info.run.steps
    venv.processes[1].terminate()

    venv = make_venv(info, cls=SubprocVecEnv, start_method="fork")
    model.set_env(venv)
    model.learn(16, callback=info, reset_num_timesteps=False)
    assert reached == 16
    assert info.run.steps == 32
    assert [steps[0] for steps in steps_told(venv)] == [16, 16]
    venv.close()


def test_the_rank_that_does_not_publish_follows(monkeypatch):
    from collections import Counter

    from traincast import _names

    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}.items():
        monkeypatch.setenv(name, value)
    infos = []
    for rank in ("0", "1"):
        monkeypatch.setattr(_names, "_made", Counter())  # each rank is a process of its own
        monkeypatch.setenv("RANK", rank)
        infos.append(TrainingInfoCallback(start=7 if rank == "0" else 0))
    venv = make_venv(infos[1])
    model = make_model(venv)
    model.learn(16, callback=infos[1])
    assert infos[0].run.name == infos[1].run.name
    assert not infos[1].run.publishes
    assert steps_told(venv) == [[7], [7]]
    infos[0].run.publish(9)
    venv.reset()
    assert steps_told(venv)[0][-1] == 9
    assert infos[0].run.state_dict()["training_info"] == {STEPS: 9}
