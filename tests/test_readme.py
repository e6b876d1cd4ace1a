"""The README's program, and those of the first page, run as they stand, and say what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from snippets import ROOT, snippets

import traincast

README = [one.code for one in snippets("README.md") if one.language == "python"]
START = [one.code for one in snippets("docs/start.md") if one.language == "python"]
ONE_PROGRAM, CURRICULUM, SCORES, LEARNER, ENV, BY_HAND = range(6)


def program(directory: Path, code: str) -> list[str]:
    """Save a block as its reader would, and give the command that runs it."""
    file = directory / f"program_{len(code)}.py"
    file.write_text(code)
    return [sys.executable, "-W", "error", str(file)]


def run(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(directory, code), cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )


@contextmanager
def learner(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The learner, in its own terminal so to speak, from its first snapshot on."""
    with subprocess.Popen(program(directory, START[LEARNER]), cwd=directory, text=True) as process:
        try:
            traincast.TrainingInfoReader("my-run", attach_timeout=60).close()
            yield process
        finally:
            process.kill()


def test_every_block_is_known() -> None:
    assert (len(README), len(START)) == (1, BY_HAND + 1)


@pytest.mark.parametrize(
    ("code", "output"),
    [
        (README[0], "(0.5, 0.5, 0.5, 0.5)\n"),
        (START[ONE_PROGRAM], "(0.9, 0.9, 0.9, 0.9)\n"),
        (START[CURRICULUM], "{'progress': 500000.0, 'gravity': 5.9}\n"),
        (START[SCORES], "[0 0 0 1 0 0 0 0 0 0]\n"),
        (START[BY_HAND], "{'goal': 1.0}\n0.5\n"),
    ],
    ids=["README", "one program", "curriculum", "scores", "by hand"],
)
def test_a_program_says_what_it_promises_and_leaves_nothing(tmp_path: Path, code: str, output: str) -> None:
    done = run(tmp_path, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == output
    assert os.listdir(os.environ["TRAINCAST_DIR"]) == []


def test_a_learner_and_an_env_meet_as_two_programs(tmp_path: Path) -> None:
    with learner(tmp_path):
        done = run(tmp_path, START[ENV])
    assert (done.returncode, done.stderr) == (0, "")
    assert "'reward_shaping': {'goal': 1.0}" in done.stdout


@pytest.mark.parametrize("order", ["the env alone", "the env after the learner was killed"])
def test_an_env_that_is_told_nothing_says_so(tmp_path: Path, order: str) -> None:
    if order != "the env alone":
        with learner(tmp_path):
            pass
    done = run(tmp_path, START[ENV])
    assert done.stdout == "{}\n"
    assert "nothing has arrived from channel 'my-run'" in done.stderr


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
