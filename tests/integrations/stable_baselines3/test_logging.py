"""What is published, and what curricula do, stands in the logs of Stable-Baselines3."""

from __future__ import annotations

import csv
import json
from functools import partial

import gymnasium
import pytest
from recording_envs import RecordingEnv
from sb3_trainings import ALGORITHMS, make_model, make_venv
from stable_baselines3.common.callbacks import EvalCallback, LogEveryNTimesteps
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum
from traincast.integrations.stable_baselines3 import TrainingInfoCallback


def make_env(env=RecordingEnv):
    env = PerformanceCurriculum(env(), {"reward": range(1, 9)}, promote_at=3.0, window=1)
    return ProgressCurriculum(env, {"difficulty": Linear(0.0, 10.0, 100)})


@pytest.fixture
def log_to(tmp_path):
    """Gives a model a logger into the test's folder, and closes that in the end."""
    loggers = []

    def log(model, *formats):
        loggers.append(configure(str(tmp_path), ["json", *formats]))
        model.set_logger(loggers[-1])

    yield log
    for logger in loggers:
        logger.close()


def rows_of(folder):
    return [json.loads(line) for line in (folder / "progress.json").read_text().splitlines()]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_dump_has_what_was_published_and_the_means_of_the_curricula(tmp_path, log_to, algorithm):
    info = TrainingInfoCallback(lambda callback: {"shaping": {"goal": -callback.num_timesteps}}, start=1000)
    venv = VecMonitor(make_venv(info, partial(make_env, ALGORITHMS[algorithm][1])))
    model = make_model(venv, algorithm)
    log_to(model, "csv", "tensorboard")
    model.learn(120, callback=info, log_interval=2)
    rows = rows_of(tmp_path)
    assert len(rows) >= 4
    for row in rows:
        counted = row["time/total_timesteps"]
        assert row["traincast/approx_total_training_steps"] == 1000 + counted
        assert row["traincast/shaping.goal"] == -counted
        assert {"curriculum/progress", "curriculum/difficulty", "curriculum/level"} <= set(row)
        assert row["curriculum/difficulty"] == pytest.approx(10.0)  # past the end of its schedule
        assert 1000 <= row["curriculum/progress"] < 1000 + counted
    levels = [row["curriculum/level"] for row in rows]
    assert levels == sorted(levels)
    assert levels[-1] > levels[0]
    with (tmp_path / "progress.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["curriculum/level"]) == pytest.approx(levels[-1])


def test_a_curriculum_is_the_mean_over_the_episodes_since_the_last_dump(tmp_path, log_to):
    info = TrainingInfoCallback()
    venv = make_venv(info, make_env)
    model = make_model(venv, n_steps=6)
    log_to(model)
    model.learn(24, callback=info, log_interval=1)
    # Two envs with episodes of 3 steps: a rollout of 6 holds those that began at 0 and 4, then 10 and 16.
    assert [row["curriculum/progress"] for row in rows_of(tmp_path)] == [2.0, 13.0]


def test_logs_and_evaluations_go_through_the_wrappers_of_vec_envs(tmp_path, log_to):
    info = TrainingInfoCallback()
    venv = VecNormalize(VecMonitor(VecFrameStack(make_venv(info, make_env), 2)))
    on_five = partial(info.wrap_eval_env, training_info={"approx_total_training_steps": 5})
    eval_venv = DummyVecEnv([lambda: on_five(make_env())] * 2)
    eval_venv = VecNormalize(VecMonitor(VecFrameStack(eval_venv, 2)), training=False)
    model = make_model(venv)
    log_to(model)
    evaluation = EvalCallback(eval_venv, eval_freq=4, verbose=0)
    model.learn(48, callback=[evaluation, info, LogEveryNTimesteps(12)])
    rows = [row for row in rows_of(tmp_path) if "rollout/ep_rew_mean" in row]
    assert [row["traincast/approx_total_training_steps"] for row in rows] == [12, 24, 36, 48]
    assert rows[-1]["curriculum/progress"] == 40.0  # the evaluation has dumped what came before
    assert any("eval/mean_reward" in row for row in rows_of(tmp_path))


def test_long_names_do_not_end_the_training(tmp_path, log_to, capsys):
    shared = "coefficients_of_the_reward_shaping_of_"
    info = TrainingInfoCallback({shared + "left": 1.0, shared + "right": 2.0, "short": 3.0, "text": "none"})
    venv = make_venv(info)
    model = make_model(venv)
    log_to(model, "stdout", "log")
    model.learn(16, callback=info, log_interval=1)
    assert rows_of(tmp_path)[-1][f"traincast/{shared}right"] == 2.0
    table = capsys.readouterr().out
    assert "short" in table
    assert "approx_total_training_steps" in table
    assert "coefficients" not in table


@pytest.mark.parametrize(
    "shown", ["hard", {"stage": "hard", "level": float("nan"), 3: [1]}, None], ids=["text", "texts", "none"]
)
def test_infos_that_are_no_curriculum_of_ours_are_left_alone(tmp_path, log_to, shown):
    class Other(gymnasium.Wrapper):
        def step(self, action):
            *rest, info = self.env.step(action)
            return *rest, info | {"curriculum": shown}

    info = TrainingInfoCallback()
    venv = make_venv(info, lambda: Other(RecordingEnv()))
    model = make_model(venv)
    log_to(model)
    model.learn(16, callback=info, log_interval=1)
    assert not any(key.startswith("curriculum/") for row in rows_of(tmp_path) for key in row)
