"""What must hold for examples that keep their logs and checkpoints in `runs/`: tests to inherit.

One training runs to its end, beside one that fails at once. Of two more one is killed after a checkpoint and
resumed, the other gets Ctrl-C.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import clean, place
from recordings import EXAMPLES, Program, Recording, channels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


@dataclass
class Whole:
    """A training from its start to its end, and one that failed."""

    recording: Recording
    folder: Path
    failed: Recording
    left: set[str]


@dataclass
class Comeback:
    """A training that was killed and resumed, and one beside it that was interrupted."""

    before: Recording
    beside: Recording
    left: set[str]
    cleaned: int
    after_cleaning: set[str]
    again: Recording
    saved: int
    in_the_end: set[str]


class ExampleStory:
    """Inherit, and say what the example is called, and where its checkpoints are."""

    example: str
    steps: int
    """Of the training that runs to its end."""
    missing: str
    """What the failing training is told to resume: there is no checkpoint in it."""

    @classmethod
    def is_saved(cls, program: Program) -> bool:
        """Tell if there is a checkpoint that is whole."""
        raise NotImplementedError

    @classmethod
    def checkpoint(cls, program: Program) -> tuple[Path, int]:
        """Return what to resume, and the steps at which it was saved."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
        with place() as directory:
            training, failing = (Program(cls.example, tmp_path_factory.mktemp("whole")) for _ in range(2))
            (failing.directory / "empty").mkdir()
            fails = failing.start("--resume", cls.missing, TRAINCAST_DIR=str(directory))
            recording = training.run("--steps", str(cls.steps), TRAINCAST_DIR=str(directory))
            failing.finish(fails, status=1)
            yield Whole(recording, folder_of(training), failing.recording(), channels(directory))

    @pytest.fixture(scope="class")
    @classmethod
    def comeback(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comeback]:
        with place() as directory:
            dead, interrupted, resumed = (
                Program(cls.example, tmp_path_factory.mktemp("comeback")) for _ in range(3)
            )
            environ = {"TRAINCAST_DIR": str(directory)}
            dying, stopped = (each.start("--steps", "1000000", **environ) for each in (dead, interrupted))
            wait_for(lambda: cls.is_saved(dead), dying)
            dead.kill(dying)
            before, at_once = dead.recording(), interrupted.recording()

            def goes_on() -> bool:
                now = interrupted.recording()
                values = {reset["steps"] for reset in now.training_resets}
                return len(now.resets) > len(at_once.resets) and len(values) > 1

            wait_for(goes_on, stopped)
            output = interrupted.interrupt(stopped)
            assert stopped.returncode != 0
            assert "KeyboardInterrupt" in output
            left = channels(directory)
            cleaned = clean(directory)
            after_cleaning = channels(directory)
            checkpoint, saved = cls.checkpoint(dead)
            again = resumed.run("--resume", str(checkpoint), "--steps", str(saved + 1_000), **environ)
            yield Comeback(
                before,
                interrupted.recording(),
                left,
                cleaned,
                after_cleaning,
                again,
                saved,
                channels(directory),
            )

    def test_each_reset_sees_the_newest_value_and_each_env_has_its_own_dictionary(self, whole: Whole) -> None:
        whole.recording.check(updates=10)
        assert len(whole.recording.processes) == 4
        assert "TraincastWarning" not in whole.recording.output

    def test_nothing_is_left_after_the_end_or_an_exception(self, whole: Whole) -> None:
        assert whole.failed.runs
        assert whole.left == set()

    def test_two_runs_at_once_do_not_meet(self, comeback: Comeback) -> None:
        for recording in (comeback.before, comeback.beside):
            recording.check()
            assert len(recording.runs) == 1
            assert {reset["run"] for reset in recording.resets} == set(recording.runs)
        assert comeback.before.runs != comeback.beside.runs

    def test_ctrl_c_leaves_nothing_and_a_killed_learner_leaves_what_clean_removes(
        self, comeback: Comeback
    ) -> None:
        assert comeback.left == set(comeback.before.runs)
        assert comeback.cleaned > 0
        assert comeback.after_cleaning == set()
        assert comeback.in_the_end == set()

    def test_a_resume_after_sigkill_goes_on_from_the_checkpoint(self, comeback: Comeback) -> None:
        again, saved = comeback.again, comeback.saved
        again.check()
        assert saved > 0
        assert min(reset["steps"] for reset in again.training_resets) == saved
        assert "TraincastWarning" not in again.output

    def test_the_example_is_short(self) -> None:
        assert len((EXAMPLES / self.example).read_text().splitlines()) <= 60


def folder_of(program: Program) -> Path:
    """The one folder in which a program keeps its logs and checkpoints."""
    (folder,) = (program.directory / "runs").iterdir()
    return folder


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """TensorBoard's curves: steps and values by name."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def wait_for(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something has happened; the test fails if the process ends before."""
    while not happened():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
