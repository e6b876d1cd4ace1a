"""`examples/rllib.py` as a program: in one go, killed and resumed, two at once, interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recordings import Program, Recording

STEPS = "approx_total_training_steps"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("example")


@pytest.fixture(scope="module")
def ended(place: Path) -> tuple[Program, Recording]:
    """The example, run to its end."""
    program = Program("rllib.py", place)
    (place / "channels").mkdir(mode=0o700)
    return program, program.run("--steps", "20000", TRAINCAST_DIR=str(place / "channels"), HOME=str(place))


def results_in(home: Path) -> list[dict]:
    """What RLlib's own logger has written."""
    (file,) = home.glob("ray_results/*/result.json")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_every_reset_sees_the_newest_value(ended: tuple[Program, Recording]) -> None:
    _, recording = ended
    recording.check(updates=5)
    assert len(recording.processes) == 2
    for pid in recording.processes:
        mine = [reset for reset in recording.training_resets if reset["pid"] == pid]
        assert len({reset["env"] for reset in mine}) == 2
        assert min(mine, key=lambda reset: reset["began"])["steps"] == 0
