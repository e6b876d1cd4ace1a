"""Workers of every start method, and several trainings in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import Program

SUPPORT = Path(__file__).parent / "support"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    program = Program(SUPPORT / "sweep.py", tmp_path_factory.mktemp("sweep"))
    channels = tmp_path_factory.mktemp("channels")
    return program.run(TRAINCAST_DIR=str(channels))


def test_workers_of_every_start_method_see_the_newest_value(sweep):
    sweep.check(updates=20)
    assert len(sweep.runs) == 4
    for run in sweep.runs:
        assert len({reset["pid"] for reset in sweep.training_resets if reset["run"] == run}) == 2


def test_trainings_in_turns_in_one_process_do_not_meet(sweep):
    for number, run in enumerate(sweep.runs, 1):
        steps = [reset["steps"] for reset in sweep.training_resets if reset["run"] == run]
        assert run.startswith(f"trial-{number}-")
        assert 1000 * number == min(steps)
        assert max(steps) < 1000 * number + 120
        assert f"{run} {1000 * number + (120 if number < 3 else 40)}" in sweep.output


def test_nothing_is_left_where_the_channels_were(sweep):
    assert sweep.output.splitlines()[-1] == "files left: 0"
