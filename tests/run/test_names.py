"""A run's channel has a legal name that nobody else has, and that tells what the run is."""

from __future__ import annotations

import subprocess
import sys

import pytest

import traincast
from traincast import _names


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("ppo", "ppo-"),
        ("ALE/Pong", "ALE-Pong-"),
        ("x" * 300, "x" * 100),
        ("café über", "cafe-uber-"),
        ("日本語", "run-"),
        ("", "run-"),
        ("...", "run-"),
        ("-.hidden", "hidden-"),
        ("../../etc/passwd", "etc-passwd-"),
        ("a\0b\n", "a-b-"),
    ],
)
def test_any_name_is_made_a_legal_one(name, begins):
    with traincast.Run(name) as run:
        assert run.name.startswith(begins)
        assert len(run.name) <= 128
        assert traincast.TrainingInfoReader(run.name).read() == {"approx_total_training_steps": 0}
        assert _names.is_unique(run.name)


@pytest.mark.parametrize("program", ["train.py", "my_package/__main__.py"])
def test_a_run_without_a_name_is_called_after_its_program(tmp_path, program):
    file = tmp_path / program
    file.parent.mkdir(exist_ok=True)
    file.write_text("import traincast; print(traincast.Run().name)")
    as_module = ["-m", "my_package"] if "package" in program else [str(file)]
    done = subprocess.run(
        [sys.executable, *as_module], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.startswith("my_package-" if "package" in program else "train-")


def test_a_run_of_a_command_line_is_called_run():
    done = subprocess.run(
        [sys.executable, "-c", "import traincast; print(traincast.Run().name)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.startswith("run-")


def test_processes_that_start_at_the_same_moment_have_runs_of_their_own():
    code = (
        "import sys, traincast\n"
        "sys.stdin.readline()\n"
        "run = traincast.Run('same'); print(run.name, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = {process.stdout.readline() for process in processes}
    for process in processes:
        process.communicate("end\n")
        assert process.returncode == 0
    assert len(names) == 4


def test_a_unique_name_tells_what_it_was_made_of():
    assert _names.base_of(_names.unique_name("a-b")) == "a-b"
    assert _names.base_of("a-b") == "a-b"
    assert not _names.is_unique("my-run-2")


@pytest.mark.parametrize("name", ["ALE/Pong", "", ".x", "x" * 129])
def test_a_fixed_name_is_taken_as_it_is_or_refused(name):
    with pytest.raises(traincast.InvalidNameError):
        traincast.Run(name, unique=False)


def test_a_fixed_name_must_be_given():
    with pytest.raises(ValueError, match="needs a name that the other program knows"):
        traincast.Run(unique=False)


def test_a_name_is_a_string():
    with pytest.raises(TypeError, match="name of a run is a string, not 5"):
        traincast.Run(5)
