"""The example as a program: a real training of rsl_rl, with its envs in worker processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from checkpointed import Checkpointed, clean, only
from recordings import EXAMPLES, Program, Recording, channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ITERATION = 200  # steps: 50 of 4 envs, each an episode


def example_in(folder: Path, shared: Path) -> Checkpointed:
    return Checkpointed("rsl_rl_example.py", folder, shared, "runs/pendulum/model_*.pt")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("channels")


@pytest.fixture(scope="module")
def example(tmp_path_factory, shared):
    return example_in(tmp_path_factory.mktemp("trained") / "example", shared)


@pytest.fixture(scope="module")
def trained(example) -> Recording:
    return example.run()


def test_every_reset_sees_the_newest_and_none_an_older_one(trained):
    trained.check(updates=40)
    assert len(trained.processes) == 4
    for pid in trained.processes:
        steps = [reset["steps"] for reset in trained.training_resets if reset["pid"] == pid]
        # An env resets within a step, and that step is counted after it.
        assert steps == [0, *range(ITERATION - 4, 40 * ITERATION, ITERATION)]


def test_an_evaluation_keeps_what_the_training_had_come_to(trained):
    assert [reset["steps"] for reset in trained.frozen_resets] == [40 * ITERATION]
    assert f"at {40 * ITERATION} steps, with gravity 10.0" in trained.output


def test_the_curriculum_is_in_the_log_of_rsl_rl(trained, example):
    log = EventAccumulator(str(example.directory / "runs/pendulum"))
    log.Reload()
    gravity = [event.value for event in log.Scalars("curriculum/g")]
    assert len(gravity) == 40
    assert gravity == sorted(gravity)
    assert gravity[0] < 3
    assert gravity[-1] > 9


def test_nothing_is_left_after_a_normal_exit(trained, shared):
    assert not list(shared.iterdir())


def test_two_at_once_a_kill_ctrl_c_a_resume_and_a_killed_worker(tmp_path, traincast_dir):
    killed, interrupted = (example_in(tmp_path / name, traincast_dir) for name in ("killed", "interrupted"))
    processes = [program.start() for program in (killed, interrupted)]
    killed.wait_for_checkpoints(2, processes[0])
    killed.kill(processes[0])
    interrupted.wait_for_checkpoints(2, processes[1])
    assert "KeyboardInterrupt" in interrupted.interrupt(processes[1])

    first, second = killed.recording(), interrupted.recording()
    first.check()
    second.check()
    assert first.runs != second.runs
    for recording in (first, second):
        assert {reset["run"] for reset in recording.training_resets} == set(recording.runs)

    # Ctrl-C leaves nothing, SIGKILL what `clean` removes.
    assert channels(traincast_dir) == set(first.runs)
    clean(traincast_dir)
    assert channels(traincast_dir) == set()

    checkpoint = killed.checkpoints[-2]  # the kill may have cut the last one
    reached = (torch.load(checkpoint)["iter"] + 1) * ITERATION
    process = killed.start(str(checkpoint))
    killed.wait_for_checkpoints(len(killed.checkpoints) + 1, process)
    resumed = only(killed.recording(), set(killed.recording().runs) - set(first.runs))
    os.kill(min(resumed.processes), signal.SIGKILL)
    process.communicate()
    assert process.returncode == 1

    resumed = only(killed.recording(), set(resumed.runs))
    resumed.check()
    assert min(reset["steps"] for reset in resumed.training_resets) == reached > 0
    assert channels(traincast_dir) == set()


SWEEP = f"""
import sys, traincast
sys.path.insert(0, {str(EXAMPLES)!r})
from rsl_rl_example import CONFIG, GymVecEnv, OnPolicyRunner
for name in "ab":
    run = traincast.Run(name)
    runner = OnPolicyRunner(GymVecEnv(run), CONFIG)
    runner.learn(1)
    runner.learn(1)
    runner.env.envs.close()
    run.close()
"""


def test_a_second_learn_goes_on_and_a_second_run_in_the_process_begins_anew(tmp_path, traincast_dir):
    script = tmp_path / "sweep.py"
    script.write_text(SWEEP)
    recording = Program(script, tmp_path).run()
    recording.check()
    assert len(recording.runs) == 2
    for run in recording.runs:
        resets = only(recording, {run}).training_resets
        assert [reset["steps"] for reset in resets[:3]] == [0, ITERATION - 4, 2 * ITERATION - 4]
        assert {reset["steps"] for reset in resets} == {0, ITERATION - 4, 2 * ITERATION - 4}
    assert not list(traincast_dir.iterdir())
