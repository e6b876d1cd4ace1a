"""What must hold for every example that uses `traincast.Run` itself: tests to inherit.

The trainings are real and cost seconds, so each class has few: two at once (one to its end, one until it
fails), and one that is killed, resumed and interrupted.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from places import place
from recordings import EXAMPLES, Program, Recording, channels


@dataclass
class Trainings:
    """Recordings, with the channel directory that they had in common."""

    directory: Path
    recordings: list[Recording] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    """The channels that were there when the last one had ended."""


@dataclass
class Comeback:
    """A training that was killed, resumed, and interrupted with Ctrl-C."""

    killed: Recording
    resumed: Recording
    left_by_kill: set[str]
    while_resumed: set[str]
    left_by_interrupt: set[str]
    workers: set[int]


class ExamplePromises:
    """Inherit, and say what the example is called, and how it is told what to do."""

    example: str
    steps_option = "--steps"
    checkpoint: str
    """The file that the example resumes from."""
    steps: int
    """Enough for several updates of the policy."""
    processes: int
    """How many processes the envs of a training live in."""
    workers_end_themselves = True
    """Whether workers notice that their learner was killed."""

    @pytest.fixture(scope="class")
    @classmethod
    def trainings(cls, channel_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainings:
        """Two trainings of one script at once; the second finds the disk full as it saves a checkpoint."""
        found = Trainings(channel_directory)
        programs = [Program(cls.example, tmp_path_factory.mktemp("training")) for _ in range(2)]
        (programs[1].directory / cls.checkpoint).symlink_to("/dev/full")
        started = [cls.start(program, channel_directory, cls.steps) for program in programs]
        for program, process, status in zip(programs, started, (0, 1), strict=True):
            found.recordings.append(program.finish(process, status))
            found.folders.append(program.directory)
        found.left = channels(channel_directory)
        return found

    @pytest.fixture(scope="class")
    @classmethod
    def comeback(cls, channel_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Comeback:
        """A training that dies after its second checkpoint, is resumed from it, and interrupted."""
        program = Program(cls.example, tmp_path_factory.mktemp("comeback"))
        saved = program.directory / cls.checkpoint
        process = cls.start(program, channel_directory, 10**9)
        wait_for(saved.exists, process)
        first = saved.stat().st_mtime_ns
        wait_for(lambda: saved.stat().st_mtime_ns > first, process)
        before = len(program.recording().publishes)
        wait_for(lambda: len(program.recording().publishes) > before, process)  # so it has been written
        program.kill(process)
        killed = program.recording()
        left_by_kill = channels(channel_directory)
        workers = {event["pid"] for event in killed.resets} - {process.pid}
        if not cls.workers_end_themselves:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(is_alive, workers)))

        process = cls.start(program, channel_directory, 10**9, "--resume", str(saved))
        resumed: Recording

        def goes_on() -> bool:
            nonlocal resumed
            resumed = without(program.recording(), killed)
            return len(resumed.publishes) > 20 and len(resumed.training_resets) > 20

        wait_for(goes_on, process)
        while_resumed = channels(channel_directory)
        output = program.interrupt(process)
        assert process.returncode == -signal.SIGINT, output
        return Comeback(
            killed,
            resumed,
            left_by_kill,
            while_resumed,
            channels(channel_directory),
            {event["pid"] for event in resumed.resets} - {process.pid},
        )

    @pytest.fixture(scope="class")
    @classmethod
    def channel_directory(cls) -> Iterator[Path]:
        with place() as path:
            yield path

    @classmethod
    def start(cls, program: Program, directory: Path, steps: int, *more: str):
        return program.start(cls.steps_option, str(steps), *more, TRAINCAST_DIR=str(directory))

    def test_every_reset_sees_the_newest_value(self, trainings: Trainings) -> None:
        for recording in trainings.recordings:
            recording.check(updates=2)
        assert len({reset["steps"] for reset in trainings.recordings[0].training_resets}) >= 10

    def test_the_first_reset_sees_the_start(self, trainings: Trainings) -> None:
        for recording in trainings.recordings:
            assert min(recording.training_resets, key=lambda reset: reset["began"])["steps"] == 0

    def test_envs_live_in_worker_processes(self, trainings: Trainings) -> None:
        for recording in trainings.recordings:
            learner = recording.publishes[0]["pid"]
            assert len(recording.processes - {learner}) == self.processes

    def test_two_at_once_do_not_meet(self, trainings: Trainings) -> None:
        runs = []
        for recording in trainings.recordings:
            assert {reset["run"] for reset in recording.resets} == set(recording.runs)
            runs += recording.runs
        assert len(set(runs)) == len(runs) == 2

    def test_an_evaluation_keeps_what_was_newest(self, trainings: Trainings) -> None:
        recording = trainings.recordings[0]
        last = max(event["steps"] for event in recording.publishes)
        assert recording.frozen_resets
        assert {reset["steps"] for reset in recording.frozen_resets} == {last}
        assert f"{last} steps: return " in recording.output

    def test_nothing_is_left_after_an_end_or_an_exception(self, trainings: Trainings) -> None:
        assert "Error" in trainings.recordings[1].output
        assert trainings.left == set()

    def test_a_killed_training_goes_on_from_its_checkpoint(self, comeback: Comeback) -> None:
        comeback.killed.check(updates=2)
        comeback.resumed.check(updates=2)
        published = [event["steps"] for event in comeback.killed.publishes]
        first, *others = (event["steps"] for event in comeback.resumed.publishes)
        assert first in published
        assert first > 0
        assert all(steps > first for steps in others)
        assert min(reset["steps"] for reset in comeback.resumed.training_resets) == first

    def test_what_a_killed_training_left_goes_with_the_next(self, comeback: Comeback) -> None:
        assert comeback.left_by_kill == set(comeback.killed.runs)
        assert comeback.while_resumed == set(comeback.resumed.runs)

    def test_nothing_is_left_after_ctrl_c(self, comeback: Comeback) -> None:
        assert comeback.left_by_interrupt == set()
        wait_for(lambda: not any(map(is_alive, comeback.workers)))

    def test_the_three_lines_that_it_opens_with_are_in_it(self) -> None:
        lines = (EXAMPLES / self.example).read_text().splitlines()
        assert all(line.startswith("# ") for line in lines[:3])
        assert not lines[3].startswith("#")
        assert len(lines) <= 60


def without(recording: Recording, before: Recording) -> Recording:
    """What was recorded since."""
    return Recording(
        recording.output,
        [event for event in recording.publishes if event["run"] not in before.runs],
        [event for event in recording.resets if event["run"] not in before.runs],
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead may have no parent that asks for its status."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool], process=None) -> None:
    """Wait for a condition; the test fails if the process ends first, and a watchdog ends a wait in vain."""
    while not condition():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended with {process.returncode}:\n{process.stdout.read()}")
        time.sleep(0.02)
