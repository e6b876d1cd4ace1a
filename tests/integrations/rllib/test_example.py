"""`examples/rllib_example.py` as a program: run to its end, killed, resumed, two at once, interrupted."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from recordings import Program, Recording, channels
from tests.integrations.rllib.conftest import eventually

from traincast._leftovers import remove_what_dead_runs_left

pytestmark = pytest.mark.timeout(1200, method="thread")  # a watchdog: Ray starts five times, on any machine


@dataclass
class Place:
    """A home, and a directory of channels."""

    home: Path

    @property
    def channels(self) -> Path:
        return self.home / "channels"

    @property
    def environ(self) -> dict[str, str]:
        """RLlib makes a folder at home."""
        return {"TRAINCAST_DIR": str(self.channels), "HOME": str(self.home)}

    def program(self, name: str) -> Program:
        (self.home / name).mkdir()
        return Program("rllib_example.py", self.home / name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("home"))
    place.channels.mkdir(mode=0o700)
    return place


@pytest.fixture(scope="module")
def ended(place: Place) -> Recording:
    """What the example did."""
    recording = place.program("ended").run("--steps", "7200", **place.environ)  # one evaluation
    assert channels(place.channels) == set(), "something is left after a normal end"
    return recording


def test_every_reset_sees_the_newest_value(ended: Recording) -> None:
    ended.check(updates=5)
    assert len(ended.processes) == 2
    for pid in ended.processes:
        mine = [reset for reset in ended.training_resets if reset["pid"] == pid]
        assert len({reset["env"] for reset in mine}) == 2
        assert min(mine, key=lambda reset: reset["began"])["steps"] == 0


def test_the_evaluation_sees_what_it_was_given(ended: Recording) -> None:
    assert {reset["steps"] for reset in ended.frozen_resets} == {12_000}
    assert not {reset["pid"] for reset in ended.frozen_resets} & ended.processes


def test_the_curriculum_moves_and_is_in_the_results(ended: Recording) -> None:
    lines = re.findall(r"([\d,]+) steps   gravity ([\d.]+)", ended.output)
    gravities = [float(gravity) for _, gravity in lines]
    assert gravities == sorted(gravities)
    assert gravities[0] == 2.0 < 4.0 < gravities[-1] < 9.8  # a mean over recent episodes
    published = sorted({event["steps"] for event in ended.publishes})
    assert [int(steps.replace(",", "")) for steps, _ in lines] == published[1:]


def _left_after_a_run(directory: Path) -> set[str]:
    """The next run removes what dead ones left, once their env runners have ended too."""
    remove_what_dead_runs_left(str(directory))
    return channels(directory)


def test_a_killed_learner_is_resumed_beside_another_run_that_is_interrupted(place: Place) -> None:
    killed = place.program("killed")
    process = killed.start(**place.environ)
    checkpoints = killed.directory / "rllib-checkpoints"
    eventually(lambda: len(list(checkpoints.glob("*"))) >= 2 or process.poll() is not None)
    killed.kill(process)
    before = killed.recording()
    before.check()
    assert channels(place.channels) == set(before.runs)
    eventually(lambda: not _left_after_a_run(place.channels))

    steps = min(int(folder.name) for folder in checkpoints.iterdir())
    resumed, other = place.program("resumed"), place.program("other")
    learner = resumed.start(
        "--resume", str(checkpoints / str(steps)), "--steps", str(steps + 2_000), **place.environ
    )
    bystander = other.start(**place.environ)
    eventually(
        lambda: (
            len({reset["steps"] for reset in other.recording().training_resets}) >= 2
            or bystander.poll() is not None
        )
    )
    bystander.send_signal(signal.SIGINT)
    interrupted, _ = bystander.communicate()
    assert "KeyboardInterrupt" in interrupted
    after = resumed.finish(learner)
    beside = other.recording(interrupted)

    after.check()
    beside.check()
    assert {reset["run"] for reset in after.resets} == set(after.runs)
    assert {reset["run"] for reset in beside.resets} == set(beside.runs)
    assert min(reset["steps"] for reset in after.training_resets) == steps
    assert min(reset["steps"] for reset in beside.training_resets) == 0
    assert channels(place.channels) == set()
