"""Cells that are run again, in the real IPython."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# A notebook keeps the traceback of the last exception, and with it the frames' variables.
RUN = """
import traincast
def train():
    run = traincast.Run("cell")
    run.publish(1)
    raise RuntimeError("a bug in the training loop")
train()
"""
WRITER = RUN.replace(
    'traincast.Run("cell")\n    run.publish(1)',
    'traincast.TrainingInfoWriter("cell"{})\n    run.publish({{"approx_total_training_steps": 1}})',
)
SHELL = """
import io, contextlib, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
cell = sys.stdin.read()
for _ in range(3):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = shell.run_cell(cell)
    print(f"{type(result.error_in_exec).__name__}: {result.error_in_exec}".replace("\\n", " "))
"""


def outcomes(cell, tmp_path):
    """What three runs of one cell raise."""
    done = subprocess.run(
        [sys.executable, "-c", SHELL],
        input=cell,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


BUG = "RuntimeError: a bug in the training loop"


def test_a_run_can_be_started_again(tmp_path):
    assert outcomes(RUN, tmp_path) == [BUG] * 3


def test_a_run_that_a_cell_keeps_can_be_started_again(tmp_path):
    assert (
        outcomes('import traincast\nrun = traincast.Run("cell")\nrun.publish(1)', tmp_path)
        == ["NoneType: None"] * 3
    )


def test_the_error_of_a_writer_names_the_remedy(tmp_path):
    first, second, _ = outcomes(WRITER.format(""), tmp_path)
    assert first == BUG
    assert second.startswith("ChannelBusyError")
    assert "<ipython-input-" in second
    assert "supersede=True" in second


@pytest.mark.parametrize("fixed", [False, True])
def test_the_remedy_works(tmp_path, fixed):
    fixed_run = RUN.replace('"cell"', '"cell", unique=False, supersede=True')
    assert outcomes(fixed_run if fixed else WRITER.format(", supersede=True"), tmp_path) == [BUG] * 3
