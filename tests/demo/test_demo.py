"""`traincast demo` as its user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sessions import session_members, wait_until_alone

pytestmark = pytest.mark.timeout(900, method="thread")  # a watchdog: training takes CPU time

SMALL = ("--seeds", "3")  # of full length: a shorter training sometimes fails


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo in a process group of its own, as a shell starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "traincast.cli", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_it_learns_with_the_curriculum_and_not_without(tmp_path: Path, traincast_dir: Path) -> None:
    picture = tmp_path / "demo.png"
    with running(*SMALL, "--output", str(picture)) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "\x1b" not in out
    rates = dict(re.findall(r"^(with the curriculum|the same without it) +(\d+)%", out, re.MULTILINE))
    assert int(rates["with the curriculum"]) >= 80
    assert int(rates["the same without it"]) <= 10
    assert re.search(r"^with: .* steps .* level .* return .* success .* old$", out, re.MULTILINE)
    assert f"Picture: {picture}" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert os.listdir(tmp_path) == ["demo.png"]
    assert os.listdir(traincast_dir) == []
    wait_until_alone(process.pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_ends_it_with_no_process_and_no_file_left(
    tmp_path: Path, traincast_dir: Path, number: signal.Signals
) -> None:
    picture = tmp_path / "demo.png"
    with running("--output", str(picture)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("with: "):
                break
        while len(session_members(process.pid)) < 1 + 8:  # the learner and its workers at least
            time.sleep(0.05)
        os.killpg(process.pid, number)  # a terminal tells every process of the group
        out, err = process.communicate()
    assert process.returncode == 128 + number
    assert err == "traincast: interrupted: all worker processes have ended, all channels are removed\n"
    assert "Picture" not in out
    wait_until_alone(process.pid)
    assert os.listdir(traincast_dir) == []
    assert os.listdir(tmp_path) == []


def test_an_impatient_ctrl_c_at_any_time_leaves_nothing(tmp_path: Path, traincast_dir: Path) -> None:
    for delay in (0.1, 0.5, 1.0, 1.5, 2.0):
        with running("--output", str(tmp_path / "demo.png")) as process:
            time.sleep(delay)
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.02)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            process.communicate()
        assert process.returncode in (130, -signal.SIGINT)  # the latter: before Python itself had started
        wait_until_alone(process.pid)
        assert os.listdir(traincast_dir) == []
        assert os.listdir(tmp_path) == []


def test_workers_end_when_the_learner_is_killed(tmp_path: Path) -> None:
    with running("--output", str(tmp_path / "demo.png")) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("with: "):
                break
        process.kill()
        process.communicate()
    wait_until_alone(process.pid)
    cleaned = subprocess.run(
        [sys.executable, "-m", "traincast.cli", "clean", "--yes"], capture_output=True, text=True, check=True
    )
    assert "demo-" in cleaned.stdout


def test_a_dead_worker_ends_it_with_a_sentence(tmp_path: Path, traincast_dir: Path) -> None:
    with running("--output", str(tmp_path / "demo.png")) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("with: "):
                break
        # The newest process of the session is a worker.
        os.kill(max(session_members(process.pid)), signal.SIGKILL)
        _, err = process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(r"traincast: worker-\d of the demo ended with exit code -?\d+\n", err)
    wait_until_alone(process.pid)
    assert os.listdir(traincast_dir) == []


@pytest.mark.parametrize("option", ["--output", "--dark"])
def test_a_place_that_cannot_be_written_is_said_first(tmp_path: Path, option: str) -> None:
    with running(option, str(tmp_path / "missing" / "demo.png")) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.startswith("traincast: cannot write a picture to ")
