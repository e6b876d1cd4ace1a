from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell, Start


@pytest.fixture
def dead(learner: Start) -> None:
    writer = learner("dead")
    writer.publish(approx_total_training_steps=1)
    writer.kill()


def test_it_says_when_there_is_nothing_to_do(shell: Shell, traincast_dir: Path) -> None:
    done = shell("clean")
    assert (done.returncode, done.stdout) == (0, f"Nothing to remove in {traincast_dir}.\n")


@pytest.mark.usefixtures("dead")
def test_it_removes_what_a_dead_writer_left_and_keeps_a_live_channel(
    shell: Shell, learner: Start, traincast_dir: Path
) -> None:
    living = learner("living")
    living.publish(approx_total_training_steps=1)
    before = {path.name for path in traincast_dir.iterdir() if path.name.startswith("living")}
    done = shell("clean", "--yes")
    assert done.returncode == 0
    assert "dead@0" in done.stdout
    assert "living" not in done.stdout
    assert {path.name for path in traincast_dir.iterdir()} == before
    living.publish(approx_total_training_steps=2)
    assert shell("get", "living", "approx_total_training_steps").stdout == "2\n"


@pytest.mark.usefixtures("dead")
def test_without_a_terminal_it_shows_and_asks_for_yes(shell: Shell, traincast_dir: Path) -> None:
    done = shell("clean")
    assert done.returncode == 1
    assert "dead@0" in done.stdout
    assert "--yes" in done.stderr
    assert (traincast_dir / "dead@0").exists()


@pytest.mark.usefixtures("dead")
@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks(traincast_dir: Path, answer: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "clean"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        output, _ = process.communicate()
    os.close(ours)
    assert "dead@0" in output
    assert (traincast_dir / "dead@0").exists() == (answer == "n")
    assert process.returncode == (0 if answer == "y" else 1)


def test_a_broken_file_is_removed(shell: Shell, traincast_dir: Path) -> None:
    broken = traincast_dir / "broken@0"
    broken.write_bytes(b"junk")
    broken.chmod(0o600)
    assert shell("clean", "--yes").returncode == 0
    assert list(traincast_dir.iterdir()) == []
