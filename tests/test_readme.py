"""The README's Python runs as it stands, each block a program of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import traincast

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.DOTALL | re.MULTILINE)
ONE_PROGRAM, LEARNER, ENV, CURRICULUM, SCORES = range(5)


def program(directory: Path, block: int) -> list[str]:
    """Save a block as its reader would, and give the command that runs it."""
    file = directory / f"program_{block}.py"
    file.write_text(BLOCKS[block])
    return [sys.executable, "-W", "error", str(file)]


def run(directory: Path, block: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(directory, block), cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )


@contextmanager
def learner(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The README's learner, in its own terminal so to speak, from its first snapshot on."""
    with subprocess.Popen(program(directory, LEARNER), cwd=directory, text=True) as process:
        try:
            traincast.TrainingInfoReader("my-run", attach_timeout=60).close()
            yield process
        finally:
            process.kill()


def test_every_block_is_known() -> None:
    assert len(BLOCKS) == 5


def test_one_program(tmp_path: Path) -> None:
    done = run(tmp_path, ONE_PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "(0.5, 0.5, 0.5, 0.5)\n"
    assert os.listdir(os.environ["TRAINCAST_DIR"]) == []


def test_two_programs(tmp_path: Path) -> None:
    with learner(tmp_path):
        done = run(tmp_path, ENV)
    assert (done.returncode, done.stderr) == (0, "")
    assert "'reward_shaping': {'goal': 1.0}" in done.stdout


@pytest.mark.parametrize("order", ["the env alone", "the env after the learner was killed"])
def test_an_env_that_is_told_nothing_says_so(tmp_path: Path, order: str) -> None:
    if order != "the env alone":
        with learner(tmp_path):
            pass
    done = run(tmp_path, ENV)
    assert done.stdout == "{}\n"
    assert "nothing has arrived from channel 'my-run'" in done.stderr


def test_the_curriculum(tmp_path: Path) -> None:
    done = run(tmp_path, CURRICULUM)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "{'progress': 500000.0, 'gravity': 5.9}\n"


def test_the_scores(tmp_path: Path) -> None:
    done = run(tmp_path, SCORES)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[0 0 0 1 0 0 0 0 0 0]\n"
    assert os.listdir(os.environ["TRAINCAST_DIR"]) == []


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []
