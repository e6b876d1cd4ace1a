"""Mistakes are reported with what was probably meant; one bad file spoils nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell, Start

import traincast
from traincast.cli._failures import did_you_mean


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("lss", "ls"), ("wach", "watch"), ("claen", "clean"), ("tpo", "top"), ("gett", "get")],
)
def test_a_misspelt_command_is_recognized(shell: Shell, typed: str, meant: str) -> None:
    done = shell(typed)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"traincast: No such command '{typed}'; did you mean .*'{meant}'.*\?\n", done.stderr)


def test_a_misspelt_channel_is_recognized(shell: Shell, learner: Start) -> None:
    for name in ("my-run", "other", "ppo-ant-20250301"):
        learner(name).publish(approx_total_training_steps=1)
    for command in ("get", "watch"):
        assert "did you mean my-run?" in shell(command, "my-rnu").stderr
        assert "did you mean my-run?" in shell(command, "My_Run").stderr
        assert "did you mean ppo-ant-20250301?" in shell(command, "ppo-ant").stderr
        far = shell(command, "zzzzzz")
        assert "did you mean" not in far.stderr
        assert far.returncode == 1


def test_the_right_name_with_the_wrong_policy_is_recognized(shell: Shell, learner: Start) -> None:
    learner("run", 3).publish(approx_total_training_steps=1)
    assert "did you mean --policy 3?" in shell("get", "run").stderr


def test_without_any_channel_it_says_so(shell: Shell) -> None:
    assert shell("get", "run").stderr.endswith("there are no channels at all\n")


def test_a_misspelt_key_is_recognized(shell: Shell, channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish(
            {"approx_total_training_steps": 1, "shaping": {"goal": 1.0}, **dict.fromkeys("abcdefg", 0)}
        )
        done = shell("get", channel_name, "shaping.gaol")
        assert (done.returncode, done.stderr) == (
            1,
            "traincast: no key 'shaping.gaol'; did you mean shaping.goal?\n",
        )
        assert "did you mean shaping.goal?" in shell("get", channel_name, "goal").stderr


def test_of_many_keys_a_few_are_named(shell: Shell, channel_name: str) -> None:
    with traincast.TrainingInfoWriter(channel_name) as writer:
        writer.publish({"approx_total_training_steps": 1, **{f"key{i}": i for i in range(5000)}})
        error = shell("get", channel_name, "\u2603").stderr
        assert len(error) < 500
        assert error.endswith(", and 4981 more\n")


def test_wrong_usage_points_to_the_help(shell: Shell) -> None:
    for command in (["get"], ["get", "run", "--policy", "x"], ["ls", "--jsno"], ["watch", "a", "b", "c"]):
        done = shell(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"traincast: .+\n", done.stderr), done.stderr


def test_without_a_command_the_help_is_shown(shell: Shell) -> None:
    done = shell()
    assert done.returncode == 2
    assert "Usage: traincast" in done.stdout


def test_a_full_disk_is_reported() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "traincast.cli", "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "traincast: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("what", ["segment", "lock", "owner", "roster"])
@pytest.mark.parametrize("kind", ["unreadable", "directory", "link", "fifo"])
def test_one_bad_file_spoils_nothing_else(learner: Start, traincast_dir: Path, what: str, kind: str) -> None:
    for name in ("bad", "good"):
        learner(name).publish(approx_total_training_steps=7)
    file = traincast_dir / ("bad@0" if what == "segment" else f"bad@0.{what}")
    if kind == "unreadable":
        file.chmod(0)
    else:
        file.unlink(missing_ok=True)
        if kind == "directory":
            file.mkdir()
        elif kind == "link":
            file.symlink_to("/etc/passwd")
        else:
            os.mkfifo(file, 0o600)
    for command in (
        ["ls", "-r"],
        ["ls", "--json"],
        ["clean", "--yes"],
        ["top", "--json", "-i", "0.1"],
    ):
        done = bound_by_modes(*command)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == 0 or command[0] == "clean", (command, done.stderr)
    assert "good" in bound_by_modes("ls").stdout
    assert bound_by_modes("get", "good", "approx_total_training_steps").stdout == "7\n"
    if kind == "directory":
        shutil.rmtree(file, ignore_errors=True)


def bound_by_modes(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command without root's privilege to read what modes forbid."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    return subprocess.run(
        [*bound, sys.executable, "-m", "traincast.cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_near_misses_are_at_most_three() -> None:
    assert did_you_mean("run-1", [f"run-{i}" for i in range(100)]) is not None
    assert did_you_mean("run-x", [f"run-{i}" for i in range(9)]).count("run-") == 3
    assert did_you_mean("", ["a", "b"]) is None
    assert did_you_mean("a", []) is None
    assert did_you_mean("RUN", ["run"]) == "did you mean run?"
