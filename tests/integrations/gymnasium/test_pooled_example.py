"""The example of pooled curricula as a program: its level rises, and it goes on from a checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "pooled_curriculum.py"


def output_of(folder, *arguments):
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_level_rises_and_a_resumed_training_goes_on_from_it(tmp_path, traincast_dir):
    assert "level 3" in output_of(tmp_path, "--steps", "3000")
    resumed = output_of(tmp_path, "--steps", "12000", "--resume", "pooled_curriculum.json")
    assert "level 3" not in resumed
    assert "level 7, corridors of 16 cells" in resumed
    assert os.listdir(traincast_dir) == []


def test_it_opens_with_the_three_lines_that_matter():
    lines = EXAMPLE.read_text().splitlines()
    assert all(line.startswith("# ") for line in lines[:3])
    assert len(lines) <= 60
