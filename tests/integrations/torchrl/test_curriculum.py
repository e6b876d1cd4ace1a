"""`CurriculumInfoReader`: what curricula show is in TorchRL's data and logs."""

from __future__ import annotations

import math

import pytest
from recording_envs import PlainEnv
from torchrl.envs import GymWrapper, SerialEnv, check_env_specs
from torchrl.record import CSVLogger
from torchrl_trainers import small_trainer

import traincast
from traincast.curriculum import Linear, PerformanceCurriculum, ProgressCurriculum
from traincast.integrations.torchrl import CurriculumInfoReader, TrainingInfoHook


@pytest.fixture
def hook():
    hook = TrainingInfoHook()
    yield hook
    hook.run.close()


def progress_env(hook, keys=("progress", "difficulty")):
    env = ProgressCurriculum(PlainEnv(), {"difficulty": Linear(0.0, 1.0, 100)})
    env = GymWrapper(hook.wrap_env(env), categorical_action_encoding=True)
    return env.set_info_dict_reader(CurriculumInfoReader(keys))


def performance_env(hook):
    env = PerformanceCurriculum(PlainEnv(), {"difficulty": range(9)}, promote_at=3, window=1)
    env = GymWrapper(hook.wrap_env(env, on_undelivered="ignore"), categorical_action_encoding=True)
    return env.set_info_dict_reader(CurriculumInfoReader(["level", "average"]))


def test_check_env_specs_passes(hook):
    check_env_specs(progress_env(hook))
    check_env_specs(SerialEnv(2, lambda: progress_env(hook)))


def test_each_step_has_the_numbers_of_its_episode(hook):
    env = progress_env(hook)
    hook.run.publish(50)
    data = env.rollout(3)
    assert data["curriculum", "difficulty"].tolist() == [0.5] * 3
    assert data["next", "curriculum", "progress"].tolist() == [50] * 3


def logged(path, name):
    lines = (path / "run" / "scalars" / f"{name}.csv").read_text().split()
    return [tuple(map(float, line.split(","))) for line in lines]


def test_the_log_has_the_mean_over_each_batch(hook, tmp_path):
    trainer = small_trainer(progress_env(hook), logger=CSVLogger("run", log_dir=str(tmp_path)))
    hook.register(trainer)
    trainer.train()
    # Ten frames a batch, three an episode: the first ones of a batch belong to an episode that began before.
    assert logged(tmp_path, "curriculum/progress") == [(10, 0), (20, 8), (30, 19), (40, 27)]
    assert logged(tmp_path, "curriculum/difficulty")[-1] == (40, pytest.approx(0.27))


def test_levels_and_averages_are_logged_where_there_are_any(hook, tmp_path):
    trainer = small_trainer(performance_env(hook), logger=CSVLogger("run", log_dir=str(tmp_path)))
    hook.register(trainer)
    trainer.train()
    levels = [level for _, level in logged(tmp_path, "curriculum/level")]
    assert levels == sorted(levels)
    assert levels[-1] > levels[0]
    assert {average for _, average in logged(tmp_path, "curriculum/average")} == {3.0}


def test_a_key_that_no_curriculum_shows_is_refused(hook):
    with pytest.raises(KeyError, match="the curriculum shows no lenght, only progress, difficulty"):
        progress_env(hook, ["lenght"]).reset()
    with pytest.raises(TypeError, match="must be a list of names"):
        CurriculumInfoReader("level")


def test_an_env_without_a_curriculum_is_told_of(hook):
    env = GymWrapper(PlainEnv()).set_info_dict_reader(CurriculumInfoReader(["level"]))
    with pytest.warns(traincast.TraincastWarning, match="put a curriculum with this info_key"):
        data = env.reset()
    assert math.isnan(data["curriculum", "level"])
