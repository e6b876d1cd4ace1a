"""The example, run as a program: trained, evaluated, resumed, killed, interrupted, twice at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from places import place
from recordings import Program, Recording, channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

EXAMPLE = "sample_factory_example.py"
FOREVER = "--train_for_env_steps=1000000000"
OFTEN = "--save_every_sec=1"


class Example:
    """The example with a channel directory of its own."""

    def __init__(self, directory: Path, channels: Path) -> None:
        self.channels = channels
        self.program = Program(EXAMPLE, directory)
        self.experiment = directory / "train_dir" / "gravity"
        environment = {"TMPDIR": str(directory), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self.environment = environment | {"TRAINCAST_DIR": str(self.channels)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self.program.start(*arguments, **self.environment)

    def run(self, *arguments: str) -> Recording:
        return self.program.finish(self.start(*arguments))

    @property
    def checkpoint(self) -> int:
        """The training steps of the newest checkpoint; Sample Factory writes one of 0 steps at the start."""
        names = [path.stem for path in self.experiment.glob("checkpoint_p0/checkpoint_*.pth")]
        return max((int(name.split("_")[-1]) for name in names), default=0)

    def wait(self, process: subprocess.Popen[str], until: Callable[[Recording], bool]) -> Recording:
        """Wait until what has been recorded so far is enough."""
        while not until(recording := self.program.recording()):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        return recording


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Example]]:
    with ExitStack() as places:

        def make(name: str) -> Example:
            return Example(tmp_path_factory.mktemp(name), places.enter_context(place()))

        yield make


@pytest.fixture(scope="module")
def trained(make: Callable[[str], Example]) -> tuple[Example, Recording]:
    example = make("trained")
    return example, example.run()


def steps_of(recording: Recording) -> list[int]:
    return [event["steps"] for event in sorted(recording.publishes, key=lambda event: event["began"])]


def envs_of(recording: Recording) -> set[tuple[int, int]]:
    return {(reset["pid"], reset["env"]) for reset in recording.training_resets}


def steps_seen(recording: Recording) -> set[int]:
    return {reset["steps"] for reset in recording.training_resets}


def test_every_reset_sees_the_newest_value(trained: tuple[Example, Recording]) -> None:
    _, recording = trained
    recording.check(updates=10)
    assert len(recording.processes) == 2
    assert len(recording.runs) == 1


def test_an_evaluation_sees_what_the_training_has_saved_last(trained: tuple[Example, Recording]) -> None:
    _, recording = trained
    last = steps_of(recording)[-1]
    assert len(recording.frozen_resets) >= 10
    assert {reset["steps"] for reset in recording.frozen_resets} == {last}
    assert f"{last} training steps; average return" in recording.output
    assert "at a gravity of 9.8" in recording.output


def test_the_curriculum_and_what_was_published_are_in_tensorboard(
    trained: tuple[Example, Recording],
) -> None:
    example, _ = trained
    log = EventAccumulator(str(example.experiment / ".summary" / "0")).Reload()
    gravity = [event.value for event in log.Scalars("curriculum/gravity")]
    assert gravity == sorted(gravity)
    assert 2.0 < gravity[0] < gravity[-1] <= 9.8
    published = log.Scalars("traincast/approx_total_training_steps")
    assert [event.step for event in published] == [event.value for event in published]
    assert len(published) > 2


def test_nothing_is_left_of_a_training(trained: tuple[Example, Recording]) -> None:
    example, _ = trained
    assert list(example.channels.iterdir()) == []


def test_a_killed_run_is_resumed_from_its_checkpoint_and_cleaned_up(make: Callable[[str], Example]) -> None:
    example = make("killed")
    process = example.start(FOREVER, OFTEN)
    example.wait(process, lambda _: example.checkpoint > 0)
    workers = psutil.Process(process.pid).children(recursive=True)
    example.program.kill(process)
    assert process.stdout
    process.stdout.close()
    for worker in workers:  # they would go on without their runner
        worker.kill()
    psutil.wait_procs(workers)
    before = example.program.recording()
    assert channels(example.channels) == set(before.runs)
    checkpoint = example.checkpoint

    both = example.run(f"--train_for_env_steps={checkpoint + 5000}")
    both.check()
    (new,) = set(both.runs) - set(before.runs)
    resumed = Recording(
        both.output,
        [event for event in both.publishes if event["run"] == new],
        [event for event in both.training_resets if event["run"] == new],
    )
    assert steps_of(resumed)[0] == checkpoint
    assert min(reset["steps"] for reset in resumed.resets) >= checkpoint
    assert list(example.channels.iterdir()) == []


def test_two_runs_at_once_do_not_meet_and_one_may_be_interrupted(make: Callable[[str], Example]) -> None:
    one, other = make("one"), make("other")
    other.environment["TRAINCAST_DIR"] = one.environment["TRAINCAST_DIR"]
    interrupted = one.start(FOREVER)
    finished = other.start("--train_for_env_steps=15000")
    # All envs: one that is reset for the first time after the end of its training finds nothing.
    one.wait(interrupted, lambda recording: len(envs_of(recording)) == 8 and len(steps_seen(recording)) > 5)
    other.wait(finished, lambda recording: len(recording.training_resets) > 0)
    interrupted.send_signal(signal.SIGINT)
    first = one.program.finish(interrupted, status=2)  # ExperimentStatus.INTERRUPTED
    second = other.program.finish(finished)
    for recording in (first, second):
        recording.check()
        assert {reset["run"] for reset in recording.training_resets} == set(recording.runs)
    assert first.runs != second.runs
    assert os.listdir(one.channels) == []
