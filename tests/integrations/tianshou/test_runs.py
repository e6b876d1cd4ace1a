"""What `TrainingInfoFn` publishes: over several runs of a trainer, after a resume, and with a function."""

from __future__ import annotations

import pickle

import cloudpickle
import gymnasium
import pytest
import tianshou.utils
from gymnasium.utils.env_checker import check_env
from places import place
from recordings import channels
from seen_envs import STEPS, make_seen, make_seen_with_curricula
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tianshou.env import DummyVectorEnv, SubprocVectorEnv
from torch.utils.tensorboard import SummaryWriter

import traincast
from traincast.integrations.tianshou import CurriculumCollectStats, TrainingInfoFn


def envs_of(info, make=make_seen):
    return DummyVectorEnv([info.wrap_env_fn(make) for _ in range(2)])


class Noting(gymnasium.Wrapper):
    """Notes what its env saw at each reset."""

    def __init__(self, env, seen):
        super().__init__(env)
        self.seen = seen

    def reset(self, **arguments):
        observation, info = self.env.reset(**arguments)
        self.seen.append(int(observation[0]))
        return observation, info


def noting_envs(info, seen):
    return DummyVectorEnv([lambda: Noting(info.wrap_env(make_seen()), seen) for _ in range(2)])


def test_a_second_run_goes_on_from_the_first(trainer_of):
    info, seen = TrainingInfoFn(), []
    trainer = trainer_of(noting_envs(info, seen), info)
    trainer.run()
    assert info.run.steps == 70
    before = len(seen)
    trainer.run()
    assert info.run.steps == 140
    assert min(seen[before:]) == 70
    assert seen == sorted(seen)


def test_as_test_fn_too_it_counts_the_last_training_step(trainer_of):
    info, seen = TrainingInfoFn(), []
    test_envs = DummyVectorEnv([lambda: info.wrap_eval_env(make_seen(), {STEPS: 5}) for _ in range(2)])
    trainer = trainer_of(noting_envs(info, seen), info, test_envs=test_envs, test_fn=info)
    trainer.run()
    assert info.run.steps == 80
    trainer.run()
    assert info.run.steps == 160
    assert seen == sorted(seen)


@pytest.mark.filterwarnings("ignore:Conversion of an array with ndim")  # Tianshou's own, with old logs
def test_a_resume_from_the_log_begins_where_it_was(trainer_of, tmp_path):
    def train(epochs, resume):
        logger = tianshou.utils.TensorboardLogger(SummaryWriter(str(tmp_path)), save_interval=1)
        info, seen = TrainingInfoFn(start=logger.restore_data()[1]), []
        trainer_of(
            noting_envs(info, seen),
            info,
            logger=logger,
            max_epochs=epochs,
            resume_from_log=resume,
            save_checkpoint_fn=lambda *_: "nothing",
        ).run()
        logger.finalize()
        return info, seen

    info, seen = train(2, resume=False)
    assert (seen[0], info.run.steps) == (0, 70)
    info, seen = train(4, resume=True)
    assert (min(seen), info.run.steps) == (80, 150)


def test_a_resume_without_start_is_told_once():
    info = TrainingInfoFn()
    env = info.wrap_env(make_seen())
    env.reset()
    with pytest.warns(traincast.TraincastWarning, match="start="):
        info(3, 5_000)
    assert info.run.steps == 5_000
    info(4, 6_000)


def test_a_training_whose_envs_nobody_wrapped_is_told_once(trainer_of):
    info = TrainingInfoFn()
    plain = DummyVectorEnv([make_seen] * 2)
    trainer = trainer_of(plain, info, max_epochs=3)
    trainer.run()
    info._readers._publishes = 99  # a training that is longer
    with pytest.warns(traincast.TraincastWarning, match=r"no env reads run .*wrap_env_fn"):
        trainer.run()


def test_a_resume_from_a_state_continues_the_version_too():
    first = TrainingInfoFn({"bots": 3})
    for step in range(5):
        first(1, step * 10)
    state = first.run.state_dict()
    again = TrainingInfoFn(state=pickle.loads(pickle.dumps(state)))
    assert again.run.steps == 40
    again(1, 0)  # Tianshou counts from 0 where it does not resume from its log
    again(1, 10)
    found = again.run.state_dict()
    assert found["version"] > state["version"]
    assert found["training_info"] == {STEPS: 50, "bots": 3}


def test_a_function_gets_epoch_and_env_step_and_envs_see_first_info_before_it(trainer_of):
    calls = []

    def training_info(epoch, env_step):
        calls.append((epoch, env_step))
        return {"noise": 1.0 / epoch} if env_step else None

    info = TrainingInfoFn(training_info, first_info={"noise": 9.0})
    assert info.run.state_dict()["training_info"] == {STEPS: 0, "noise": 9.0}
    trainer = trainer_of(envs_of(info), info)
    trainer.run()
    trainer.run()
    assert calls[:8] == [(1, 0), (1, 10), (1, 20), (1, 30), (2, 40), (2, 50), (2, 60), (2, 70)]
    assert calls[8:10] == [(1, 70), (1, 80)]
    assert info.run.state_dict()["training_info"] == {STEPS: 140, "noise": 0.5}


def test_a_run_of_ones_own_is_published_to():
    with traincast.Run("mine", start=7) as run:
        info = TrainingInfoFn({"bots": 1}, run=run)
        info(1, 0)
        info(1, 10)
        assert run.state_dict()["training_info"] == {STEPS: 17, "bots": 1}


def test_a_sweep_in_one_process_keeps_its_runs_apart(trainer_of):
    infos = [TrainingInfoFn({"trial": trial}) for trial in range(3)]
    venvs = [SubprocVectorEnv([info.wrap_env_fn(make_seen) for _ in range(2)]) for info in infos]
    trainers = [
        trainer_of(envs, info, max_epochs=epochs)
        for envs, info, epochs in zip(venvs, infos, (1, 2, 3), strict=True)
    ]
    for trainer in trainers:
        trainer.reset()
    for epoch in range(3):
        for trainer in trainers[epoch:]:
            trainer.execute_epoch()
    assert [info.run.steps for info in infos] == [30, 70, 110]
    for envs, info, trial in zip(venvs, infos, range(3), strict=True):
        envs.reset()
        told = envs.get_env_attr("training_info")
        assert told == [{STEPS: info.run.steps, "trial": trial}] * 2
        envs.close()


def test_evaluation_envs_see_what_they_are_given_and_move_nothing(trainer_of):
    info, seen = TrainingInfoFn(), []
    test_envs = DummyVectorEnv(
        [lambda: Noting(info.wrap_eval_env(make_seen(), {STEPS: 999}), seen) for _ in range(2)]
    )
    trainer_of(envs_of(info), info, test_envs=test_envs, test_step_num_episodes=2).run()
    assert set(seen) == {999}
    assert info.run.steps == 70


def test_an_evaluation_env_without_a_value_says_that_it_keeps_the_start(trainer_of):
    info = TrainingInfoFn()
    test_envs = DummyVectorEnv([lambda: info.wrap_eval_env(make_seen())])
    with pytest.warns(traincast.TraincastWarning, match="at the start of the training"):
        trainer_of(envs_of(info), info, test_envs=test_envs).run()
    assert test_envs.get_env_attr("training_info") == [{STEPS: 0}]


def test_curricula_work_and_their_numbers_are_in_the_log(trainer_of, tmp_path):
    logger = tianshou.utils.TensorboardLogger(SummaryWriter(str(tmp_path)), training_interval=1)
    info = TrainingInfoFn(lambda epoch, env_step: {"shaping": {"goal": epoch / 2}}, logger=logger)
    envs = envs_of(info, make_seen_with_curricula)
    trainer_of(envs, info, logger=logger, collect_stats_class=CurriculumCollectStats).run()
    logger.finalize()
    events = EventAccumulator(str(tmp_path))
    events.Reload()

    def values(tag):
        return [event.value for event in events.Scalars(tag)]

    assert values("traincast/approx_total_training_steps") == [0, 10, 20, 30, 40, 50, 60, 70]
    assert values("traincast/shaping.goal") == [0.5] * 4 + [1.0] * 4
    size, level = values("training/curriculum/size"), values("training/curriculum/level")
    assert size == sorted(size)
    assert 1.0 <= size[0] < size[-1] <= 1.7
    assert level == sorted(level)
    assert (level[0], level[-1]) == (0, 4)
    assert max(values("training/curriculum/average")) == 3.0


def test_the_log_has_the_trainers_training_interval(tmp_path):
    logger = tianshou.utils.TensorboardLogger(SummaryWriter(str(tmp_path)), training_interval=100)
    info = TrainingInfoFn(logger=logger)
    for step in range(0, 300, 10):
        info(1, step)
    logger.finalize()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.step for e in events.Scalars(f"traincast/{STEPS}")] == [0, 100, 200]


def test_what_travels_to_workers_is_a_reference_to_the_run_alone():
    class Heavy:
        def __reduce__(self):
            raise TypeError("this must not travel")

    heavy = Heavy()
    info = TrainingInfoFn(lambda epoch, env_step: {"heavy": bool(heavy)})
    for travelling in (
        info.wrap_env,
        info.wrap_env_fn(make_seen),
        lambda: info.wrap_eval_env(make_seen(), {STEPS: 1}),
    ):
        assert len(cloudpickle.dumps(travelling)) < 3_000
    copy = pickle.loads(pickle.dumps(info.wrap_env_fn(make_seen)))
    env = copy()
    info(1, 10)
    assert env.reset()[0] == 10


@pytest.mark.filterwarnings("ignore:.*Box observation space maximum.*", "ignore:.*render_mode.*")
def test_gymnasiums_checker_passes_on_wrapped_envs():
    info = TrainingInfoFn()
    check_env(info.wrap_env(make_seen()), skip_render_check=True)
    check_env(info.wrap_eval_env(make_seen(), {STEPS: 1}), skip_render_check=True)
    check_env(info.wrap_env(make_seen_with_curricula()), skip_render_check=True)


def test_an_exception_of_the_function_ends_the_training_and_nothing_is_left(trainer_of):
    def fails(epoch, env_step):
        if env_step == 20:
            raise ZeroDivisionError
        return {}

    with place() as directory:
        with pytest.raises(ZeroDivisionError), traincast.Run("failing", directory=directory) as run:
            trainer_of(envs_of(TrainingInfoFn(run=run)), TrainingInfoFn(fails, run=run)).run()
        assert channels(directory) == set()


def test_slips_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match="a mapping, or a function"):
        TrainingInfoFn(5)
    with pytest.raises(TypeError, match="TensorboardLogger"):
        TrainingInfoFn(logger="runs")
    with pytest.raises(ValueError, match="whole number"):
        TrainingInfoFn(start=-1)
