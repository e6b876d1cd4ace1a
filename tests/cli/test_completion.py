"""Shells complete commands, channels, policies and keys, by typer's own scripts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Start


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder for PATH with a program `traincast` in it, as an installation has."""
    path = tmp_path / "bin" / "traincast"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m traincast.cli "$@"\n')
    path.chmod(0o755)
    return path.parent


def completed(program: Path, home: Path, line: str) -> list[str]:
    """What bash offers at the end of a line, after `--install-completion`."""
    words = line.split(" ")
    script = f"""
        . {home}/.bashrc
        . {home}/.bash_completions/traincast.sh
        COMP_WORDS=({" ".join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}
        _traincast_completion traincast
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], env=environment(program, home), capture_output=True, text=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def environment(program: Path, home: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "HOME": str(home), "SHELL": "/bin/bash"}


def test_bash_completes_after_install_completion(program: Path, tmp_path: Path, learner: Start) -> None:
    learner("my-run", 7).publish(approx_total_training_steps=1, shaping={"goal": 1.0, "two words": 2})
    learner("other").publish(approx_total_training_steps=1)
    # A shell of its own, which it finds as its parent; `:` keeps bash from replacing itself.
    done = subprocess.run(
        ["bash", "-c", "traincast --install-completion; :"],
        env=environment(program, tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "bash completion installed" in done.stdout

    def offered(line: str) -> list[str]:
        return completed(program, tmp_path, line)

    assert offered("traincast ") == ["ls", "top", "get", "watch", "scores", "relay", "clean", "demo"]
    assert offered("traincast w") == ["watch"]
    assert offered("traincast get ") == ["my-run", "other"]
    assert offered("traincast watch my") == ["my-run"]
    assert offered("traincast get --policy ") == ["0", "7"]
    keys = ["approx_total_training_steps", "shaping.goal", "shaping"]
    assert offered("traincast get --policy 7 my-run ") == keys
    assert offered("traincast get --policy 7 my-run shaping.") == ["shaping.goal"]
    assert offered("traincast get nobody ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_shown_for_each_shell(program: Path, tmp_path: Path, shell: str) -> None:
    done = subprocess.run(
        [str(program / "traincast"), "--show-completion", shell],
        env={**environment(program, tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "_TRAINCAST_COMPLETE" in done.stdout
    if found := shutil.which(shell):
        subprocess.run([found, "-n"], input=done.stdout, text=True, check=True)


def test_completion_offers_nothing_where_there_is_nothing(
    program: Path, tmp_path: Path, traincast_dir: Path
) -> None:
    traincast_dir.chmod(0o755)  # refused
    done = subprocess.run(
        [str(program / "traincast")],
        env={
            **environment(program, tmp_path),
            "_TRAINCAST_COMPLETE": "complete_bash",
            "COMP_WORDS": "traincast get ",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
