"""The example as a program: a real training of rl_games, with its envs in Ray workers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from checkpointed import Checkpointed, clean, only
from recordings import Recording, channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EPOCH = 64  # frames: 32 steps of 2 envs
EPOCHS = 20


def example_in(folder: Path, shared: Path) -> Checkpointed:
    return Checkpointed("rl_games_example.py", folder, shared, "runs/poles/nn/last_*.pth")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("channels", numbered=True)


@pytest.fixture(scope="module")
def example(tmp_path_factory, shared):
    shared.chmod(0o700)
    return example_in(tmp_path_factory.mktemp("trained") / "example", shared)


@pytest.fixture(scope="module")
def trained(example) -> Recording:
    return example.run("--steps", str(EPOCHS * EPOCH))


def test_every_reset_sees_the_newest_and_none_an_older_one(trained):
    trained.check(updates=5)
    assert len(trained.processes) == 2  # Ray's workers
    assert {event["pid"] for event in trained.publishes}.isdisjoint(trained.processes)


def test_the_first_resets_see_the_start(trained):
    for pid in trained.processes:
        first = min((r for r in trained.training_resets if r["pid"] == pid), key=lambda r: r["began"])
        assert first["steps"] == 0


def test_the_frames_of_each_epoch_are_published(trained):
    steps = [event["steps"] for event in trained.publishes]
    assert steps == [0, *range(0, EPOCHS * EPOCH, EPOCH)]


def test_the_player_keeps_what_its_checkpoint_has_and_says_so(trained, example):
    state = torch.load(example.checkpoints[-1], weights_only=False)["env_state"]["traincast"]
    reached = state["training_info"]["approx_total_training_steps"]
    assert reached == (EPOCHS - 1) * EPOCH
    assert len(trained.frozen_resets) >= 3
    assert {reset["steps"] for reset in trained.frozen_resets} == {reached}
    assert f"checkpoint: approx_total_training_steps={reached}" in trained.output
    assert "av reward" in trained.output


def test_the_curriculum_is_in_the_log_of_rl_games(trained, example):
    log = EventAccumulator(str(example.directory / "runs/poles/summaries"))
    log.Reload()
    published = log.Scalars("traincast/approx_total_training_steps")
    assert [(event.step, event.value) for event in published] == [
        (frame, frame) for frame in range(0, EPOCHS * EPOCH, EPOCH)
    ]
    lengths = [event.value for event in log.Scalars("curriculum/length")]
    assert len(lengths) >= 5
    assert lengths[0] == pytest.approx(0.5)
    assert lengths[-1] > 0.7
    assert log.Scalars("curriculum/gravity")[-1].value > 12


def test_nothing_is_left_after_a_normal_exit(trained, shared):
    assert not list(shared.iterdir())


def test_two_at_once_a_kill_ctrl_c_a_resume_and_a_killed_worker(tmp_path, traincast_dir):
    killed, interrupted = (example_in(tmp_path / name, traincast_dir) for name in ("killed", "interrupted"))
    processes = [program.start("--steps", "100000") for program in (killed, interrupted)]
    for program, process in zip((killed, interrupted), processes, strict=True):
        program.wait_for_checkpoints(2, process)
    killed.kill(processes[0])
    processes[1].send_signal(signal.SIGINT)
    output, _ = processes[1].communicate()
    assert "KeyboardInterrupt" in output

    first, second = killed.recording(), interrupted.recording()
    first.check(updates=3)
    second.check(updates=3)
    assert first.runs != second.runs
    for recording in (first, second):
        assert {reset["run"] for reset in recording.training_resets} == set(recording.runs)

    # Ctrl-C leaves nothing, SIGKILL what `clean` removes.
    assert channels(traincast_dir) == set(first.runs)
    clean(traincast_dir)
    assert channels(traincast_dir) == set()

    checkpoint = killed.checkpoints[-2]  # the kill may have cut the last one
    saved = torch.load(checkpoint, weights_only=False)
    process = killed.start("--steps", "100000", "--resume", str(checkpoint))
    killed.wait_for_checkpoints(len(killed.checkpoints) + 1, process)
    resumed = only(killed.recording(), set(killed.recording().runs) - set(first.runs))
    os.kill(min(resumed.processes), signal.SIGKILL)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "ActorDiedError" in output

    # The count goes on where the checkpoint was made, and none of the first resets sees less.
    reached = saved["env_state"]["traincast"]["training_info"]["approx_total_training_steps"]
    assert reached == saved["frame"] - EPOCH > 0
    resumed = only(killed.recording(), set(resumed.runs))
    resumed.check(updates=2)
    assert min(reset["steps"] for reset in resumed.training_resets) == reached
    told = [event["steps"] for event in resumed.publishes][1:]  # it begins before rl_games restores
    assert told[:3] == [reached, saved["frame"], saved["frame"] + EPOCH]
    assert channels(traincast_dir) == set()
