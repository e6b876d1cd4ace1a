"""`TrainingInfoHook` in real trainers: what it publishes, logs, saves and goes on from."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchrl.checkpoint import Checkpoint, CheckpointRotation
from torchrl.envs import SerialEnv, TransformedEnv
from torchrl.record import CSVLogger, TensorboardLogger
from torchrl_trainers import STEPS, NativeEnv, small_trainer, wrapped_gym_env

import traincast
from traincast.integrations.torchrl import TrainingInfoHook


@pytest.fixture
def made(request):
    """Make hooks that are closed at the end."""
    hooks = []

    def make(*args, **kwargs):
        hooks.append(TrainingInfoHook(*args, **kwargs))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.run.close()


def train(hook, total_frames=40, env=None, load=None, **options):
    """Train, and return the trainer and the steps that its env was told."""
    env = NativeEnv() if env is None else env
    trainer = small_trainer(TransformedEnv(env, hook.transform()), total_frames, **options)
    hook.register(trainer)
    if load is not None:
        trainer.load_from_file(load)
    trainer.train()
    return trainer, [info[STEPS] for info in env.told]


def published(hook):
    with hook.run.channel.open() as reader:
        return reader.read()


def test_envs_see_the_frames_from_the_first_reset_on(made):
    hook = made()
    _, told = train(hook)
    assert told == [0, 10, 20, 30]
    assert published(hook) == {STEPS: 40}


def test_a_gymnasium_env_in_a_trainer(made):
    hook = made()
    env = wrapped_gym_env(hook)
    trainer = small_trainer(env)
    hook.register(trainer)
    trainer.train()
    assert env._env.env.seen == [0, 10, 20, 30]


def test_a_function_gets_the_trainer_and_constants_stay(made):
    hook = made(
        lambda trainer: {"optim_steps": trainer._optim_count, "lr": trainer.optimizer.param_groups[0]["lr"]},
        first_info={"lr": 1.0},
    )
    assert published(hook) == {STEPS: 0, "lr": 1.0}
    train(hook)
    assert published(hook) == {STEPS: 40, "lr": 1e-3, "optim_steps": 4}
    constant = made({"goal": 2.0}, start=5)
    assert published(constant) == {STEPS: 5, "goal": 2.0}
    train(constant)
    assert published(constant) == {STEPS: 45, "goal": 2.0}


def test_wrong_arguments_are_refused_at_once(made, tmp_path):
    with pytest.raises(TypeError, match="training_info must be a mapping, or a function"):
        made(3)
    with pytest.raises(ValueError, match="whole number"):
        made(start=-1)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        made(resume_from=tmp_path / "absent")
    with pytest.raises(RuntimeError, match=r"hook.register\(trainer\)"):
        made()()
    hook = made()
    trainer = small_trainer(NativeEnv())
    hook.register(trainer)
    with pytest.raises(RuntimeError, match="already registered"):
        hook.register(trainer)
    with pytest.raises(ValueError, match="not saved by a TrainingInfoHook"):
        hook.load_state_dict({"snapshot": torch.zeros(8, dtype=torch.uint8)})


def test_a_run_of_the_callers_is_used(made):
    with traincast.Run("mine", start=100) as run:
        hook = made({"goal": 1}, run=run)
        _, told = train(hook)
        assert told == [100, 110, 120, 130]
        assert run.state_dict()["training_info"] == {STEPS: 140, "goal": 1}


def test_a_second_trainer_goes_on(made):
    hook = made()
    train(hook)
    _, told = train(hook)
    assert told == [40, 50, 60, 70]


def test_two_trainers_in_one_process_do_not_meet(made):
    hooks = [made(), made(start=1000)]
    told = [train(hook)[1] for hook in hooks]
    assert told == [[0, 10, 20, 30], [1000, 1010, 1020, 1030]]


class Formats:
    """The ways in which trainers are saved; each returns the options of a trainer, and what to load."""

    @staticmethod
    def checkpoint(path, _=None):
        return lambda: {"checkpoint": Checkpoint(), "save_trainer_file": path / "trainer"}, path / "trainer"

    @staticmethod
    def archive(path, _):
        file = path / "trainer.zip"
        return lambda: {"checkpoint": Checkpoint(format="archive"), "save_trainer_file": file}, file

    @staticmethod
    def rotation(path, _):
        rotation = CheckpointRotation(path / "all", keep_last=1)
        return lambda: {"checkpoint": Checkpoint(), "checkpoint_rotation": rotation}, rotation

    @staticmethod
    def torch(path, monkeypatch):
        monkeypatch.setenv("CKPT_BACKEND", "torch")
        return lambda: {"save_trainer_file": path / "trainer.pt"}, path / "trainer.pt"

    @staticmethod
    def memmap(path, monkeypatch):
        monkeypatch.setenv("CKPT_BACKEND", "memmap")
        return lambda: {"save_trainer_file": path / "trainer"}, path / "trainer"


HARD = {
    "scores": np.arange(6, dtype=np.int64).reshape(2, 3),
    "names": np.array(["a", "bc"]),
    "per policy": {0: (1, 2.5), 1: None},
    "weights": torch.ones(3, dtype=torch.bfloat16),
    "big": 2**80,
}


def same(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, np.ndarray | torch.Tensor):
            assert type(value) is type(other[key])
            assert value.dtype == other[key].dtype
            assert (value == other[key]).all()
        else:
            assert value == other[key]


@pytest.mark.parametrize("way", ["checkpoint", "archive", "rotation", "torch", "memmap"])
def test_a_trainer_goes_on_from_its_checkpoint(made, tmp_path, monkeypatch, way):
    options, file = getattr(Formats, way)(tmp_path, monkeypatch)
    train(made(HARD), **options())
    if way == "rotation":
        file = file.latest()
    before = published(made(resume_from=file))
    same(before, {STEPS: 40} | HARD)
    hook = made(resume_from=file)
    trainer, told = train(hook, 80, load=file, **options())
    assert told == [40, 40, 50, 60, 70]  # what the trainer loads is published again
    assert trainer.collected_frames == 80
    same(published(hook), {STEPS: 80} | HARD)


def test_what_a_checkpoint_says_is_newer_than_what_a_training_begins_with(made, tmp_path):
    options, file = Formats.checkpoint(tmp_path)
    train(made(lambda trainer: {"level": 7, "old": 1}, first_info={"level": 0}), **options())
    hook = made(lambda trainer: None, first_info={"level": 0, "new": 0}, resume_from=file)
    assert published(hook) == {STEPS: 40, "level": 7, "old": 1, "new": 0}
    assert published(made({"level": 3}, resume_from=file)) == {STEPS: 40, "level": 3, "old": 1}


def test_constants_of_this_training_stay_when_a_checkpoint_is_loaded(made, tmp_path):
    options, file = Formats.checkpoint(tmp_path)
    train(made({"goal": 1.0}), **options())
    hook = made({"goal": 2.0}, resume_from=file)
    train(hook, 80, load=file, **options())
    assert published(hook)["goal"] == 2.0


def test_a_checkpoint_that_is_loaded_after_the_first_resets_says_so(made, tmp_path):
    options, file = Formats.checkpoint(tmp_path)
    train(made(), **options())
    hook = made()
    with pytest.warns(traincast.TraincastWarning, match="TrainingInfoHook\\(resume_from="):
        _, told = train(hook, 80, load=file, **options())
    assert told[0] == 0
    assert told[1:] == [40, 50, 60, 70]


def test_a_count_that_was_offset_stays_so_after_a_checkpoint(made, tmp_path):
    options, file = Formats.checkpoint(tmp_path)
    train(made(start=1000), **options())
    _, told = train(made(resume_from=file), 80, load=file, **options())
    assert told == [1040, 1040, 1050, 1060, 1070]


def test_a_checkpoint_without_the_hook_is_told_of(made, tmp_path):
    options, file = Formats.checkpoint(tmp_path)
    trainer = small_trainer(NativeEnv(), **options())
    trainer.train()
    with pytest.raises(KeyError, match="nothing of a TrainingInfoHook under the name 'training_info'"):
        made(resume_from=file)


def test_the_hook_can_be_saved_after_its_run_was_closed(made, tmp_path):
    hook = made(HARD)
    Checkpoint(**{"trainer_module.training_info": hook}).save(tmp_path / "open")
    hook.run.publish(30)
    hook.run.close()
    Checkpoint(**{"trainer_module.training_info": hook}).save(tmp_path / "closed")
    same(published(made(resume_from=tmp_path / "open")), {STEPS: 0} | HARD)
    same(published(made(resume_from=tmp_path / "closed")), {STEPS: 30} | HARD)


def test_published_numbers_are_in_the_trainers_csv_log(made, tmp_path):
    hook = made(lambda trainer: {"shaping": {"goal": trainer.collected_frames / 2}, "name": "not a number"})
    train(hook, logger=CSVLogger("run", log_dir=str(tmp_path)))
    scalars = tmp_path / "run" / "scalars" / "traincast"
    assert {file.name for file in scalars.iterdir()} == {f"{STEPS}.csv", "shaping.goal.csv"}
    assert (scalars / "shaping.goal.csv").read_text().split() == ["10,5.0", "20,10.0", "30,15.0", "40,20.0"]


def test_published_numbers_are_in_tensorboard(made, tmp_path):
    hook = made(start=7)
    logger = TensorboardLogger("run", log_dir=str(tmp_path))
    train(hook, logger=logger)
    logger.experiment.close()  # its thread writes now and then
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    logged = [(event.step, event.value) for event in events.Scalars(f"traincast/{STEPS}")]
    assert logged == [(10, 17), (20, 27), (30, 37), (40, 47)]


def test_the_log_interval_of_the_trainer_counts(made, tmp_path):
    train(made(), logger=CSVLogger("run", log_dir=str(tmp_path)), log_interval=19)
    logged = (tmp_path / "run" / "scalars" / "traincast" / f"{STEPS}.csv").read_text().split()
    assert logged == ["20,20.0", "40,40.0"]


def test_trainers_of_one_process_with_batched_envs(made):
    hook = made()
    env = SerialEnv(2, hook.wrap_env_fn(NativeEnv))
    trainer = small_trainer(env)
    hook.register(trainer)
    trainer.train()
    assert published(hook) == {STEPS: 40}


def rank_of_two(rank, place, made, trained, read):
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_PORT="29631")
    if rank == 0:
        made.wait()  # the other one comes first
    hook = TrainingInfoHook(start=rank * 1000)
    made.set()
    env = NativeEnv()
    if rank == 1:
        trained.wait()
    trainer = small_trainer(TransformedEnv(env, hook.transform()), logger=CSVLogger(str(rank), str(place)))
    hook.register(trainer)
    trainer.train()
    hook.load_state_dict(hook.state_dict())
    told = [info[STEPS] for info in env.told]
    logs = (place / str(rank) / "scalars" / "traincast").exists()
    (place / f"rank-{rank}").write_text(f"{hook.run.name} {told} {logs}")
    if rank == 0:
        trained.set()
        read.wait()
    else:
        read.set()


def test_of_several_ranks_the_first_one_publishes(tmp_path):
    fork = multiprocessing.get_context("fork")
    events = [fork.Event() for _ in range(3)]
    ranks = [fork.Process(target=rank_of_two, args=(rank, tmp_path, *events)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [0, 0]
    (zero, of_zero), (one, of_one) = (
        (tmp_path / f"rank-{rank}").read_text().split(maxsplit=1) for rank in (0, 1)
    )
    assert zero == one
    assert of_zero == "[0, 10, 20, 30] True"
    assert of_one == "[40] False"
