"""The example as users run it: two at once; one is killed, resumed, loses a worker, is interrupted."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from places import clean, place
from recordings import Program, Recording, channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.timeout(900, method="thread")  # a watchdog: several trainings share one fixture

EXAMPLE = "stable_baselines3_ppo.py"
EARTH = 10_000
WORKERS = 4


@dataclass
class Ending:
    """How a program ended that could not go on, and what it left."""

    status: int
    output: str
    left: set[str]


@dataclass
class Story:
    whole: Recording
    logs: Path
    checkpoint: int = 0
    killed: Recording = field(default_factory=lambda: Recording(""))
    resumed: Recording = field(default_factory=lambda: Recording(""))
    left_by_the_killed: set[str] = field(default_factory=set)
    left_after_cleaning: set[str] = field(default_factory=set)
    without_a_worker: Ending | None = None
    after_ctrl_c: Ending | None = None


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    one = Program(EXAMPLE, tmp_path_factory.mktemp("one"))
    two = Program(EXAMPLE, tmp_path_factory.mktemp("two"))
    endless = ("--steps", "10000000")
    with place() as directory:
        environ = {"TRAINCAST_DIR": str(directory)}
        first, second = one.start(**environ), two.start(*endless, **environ)
        story = Story(one.finish(first), one.directory / "logs")

        checkpoint = _wait_for(lambda: _checkpoints(two)[:-1])[-1]  # the last may be half written
        story.checkpoint = int(checkpoint.stem.split("_")[2])
        two.kill(second)
        second.stdout.close()
        story.killed = two.recording()
        story.left_by_the_killed = channels(directory)
        clean(directory)
        story.left_after_cleaning = channels(directory)

        resume = (*endless, "--resume", str(checkpoint))
        for end in (_kill_a_worker, _press_ctrl_c):
            since = time.monotonic_ns()
            program = two.start(*resume, **environ)
            workers = _wait_for(lambda: _processes_beyond(two, story.checkpoint, since))  # noqa: B023
            end(program, workers)
            output, _ = program.communicate()
            ending = Ending(program.returncode, output, channels(directory))
            if end is _kill_a_worker:
                story.without_a_worker = ending
            else:
                story.after_ctrl_c = ending
        story.resumed = two.recording()
        yield story


def _wait_for(find):
    while not (found := find()):
        time.sleep(0.1)
    return found


def _checkpoints(program):
    files = (program.directory / "checkpoints").glob("*.zip")
    return sorted(files, key=lambda file: int(file.stem.split("_")[2]))


def _processes_beyond(program, steps, since):
    """The workers of the training that began then, once all have seen more than the checkpoint."""
    resets = [reset for reset in program.recording().training_resets if reset["began"] > since]
    told = {reset["pid"] for reset in resets if reset["steps"] > steps + 200}
    return told if len(told) == WORKERS else None


def _kill_a_worker(program, workers):
    os.kill(min(workers), signal.SIGKILL)


def _press_ctrl_c(program, workers):
    for pid in (program.pid, *workers):
        os.kill(pid, signal.SIGINT)


def _curves(logs):
    (folder,) = logs.iterdir()
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_every_reset_of_a_whole_training_sees_the_newest_value(story):
    story.whole.check(updates=50)
    assert len(story.whole.processes) == WORKERS
    assert min(reset["steps"] for reset in story.whole.training_resets) == 0
    assert "steps, gravity up to" in story.whole.output
    assert "Warning" not in story.whole.output


def test_two_programs_at_once_do_not_meet(story):
    assert len(story.whole.runs) == len(story.killed.runs) == 1
    assert story.whole.runs != story.killed.runs
    for recording in (story.whole, story.killed):
        assert {reset["run"] for reset in recording.resets} == set(recording.runs)
    story.killed.check(updates=20)


def test_an_evaluation_sees_what_it_was_given(story):
    for recording in (story.whole, story.resumed):
        assert {reset["steps"] for reset in recording.frozen_resets} == {EARTH}
    assert not {reset["pid"] for reset in story.whole.frozen_resets} & story.whole.processes


def test_curves_of_the_run_and_its_curriculum_are_in_tensorboard(story):
    curves = _curves(story.logs)
    published = curves["traincast/approx_total_training_steps"]
    assert {1024 * rollout for rollout in range(1, 11)} <= {
        step for step, value in published if step == value
    }
    # An evaluation dumps what was recorded at the end of the last episode.
    assert all(step - 4 * 500 < value <= step for step, value in published)
    for name in ("curriculum/progress", "curriculum/gravity"):
        values = [value for _, value in curves[name]]
        assert len(values) >= 10
        assert values == sorted(values)
    assert 2.0 < values[0] < values[-1] <= 9.8
    assert "eval/mean_reward" in curves


def test_a_killed_learner_leaves_what_cleaning_removes(story):
    assert story.left_by_the_killed == set(story.killed.runs)
    assert story.left_after_cleaning == set()


def test_resumed_trainings_go_on_at_the_checkpoint(story):
    story.resumed.check(updates=50)
    assert story.checkpoint > 0
    assert len(story.resumed.runs) == 3
    for run in set(story.resumed.runs) - set(story.killed.runs):
        steps = [reset["steps"] for reset in story.resumed.training_resets if reset["run"] == run]
        assert steps.count(story.checkpoint) == WORKERS
        assert min(steps) == story.checkpoint
        assert max(steps) > story.checkpoint + 200


def test_a_training_ends_with_its_worker_and_leaves_nothing(story):
    ending = story.without_a_worker
    assert ending.status == 1
    # Stable-Baselines3 restarts no worker: what it raises depends on which end of the pipe finds out.
    assert any(error in ending.output for error in ("EOFError", "ConnectionResetError", "BrokenPipeError"))
    assert ending.left == set()


def test_ctrl_c_leaves_nothing(story):
    ending = story.after_ctrl_c
    assert ending.status in (1, -signal.SIGINT)
    assert ending.left == set()
