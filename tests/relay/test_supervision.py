"""A process that forks the one that serves, and forks another one when that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from pathlib import Path
from traincast.relay.signals import told_to_end
from traincast.relay.supervision import supervised

def serve():
    {serve}

def wait():
    told = told_to_end()
    print(os.getpid(), flush=True)
    while not told():
        time.sleep(0.01)
    print("told", flush=True)
    return 3

sys.exit(supervised(serve, lambda: not Path(sys.argv[1]).exists()))
"""


@contextmanager
def supervisor(over: Path, serve: str = "return wait()") -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-c", PROGRAM.format(serve=serve), str(over)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_who_is_killed_is_followed_by_another_one(tmp_path: Path) -> None:
    with supervisor(tmp_path / "over") as process:
        pids = []
        for _ in range(4):
            pids.append(int(line(process)))
            os.kill(pids[-1], signal.SIGKILL)
        last = int(line(process))
        assert len({*pids, last, process.pid}) == 6
        (tmp_path / "over").touch()
        os.kill(last, signal.SIGKILL)
        assert process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_end_when_they_are_told_to(tmp_path: Path, number: signal.Signals) -> None:
    with supervisor(tmp_path / "over") as process:
        assert line(process).isdigit()
        process.send_signal(number)
        assert line(process) == "told"
        assert process.wait() == 3


def test_who_ends_by_itself_is_not_followed(tmp_path: Path) -> None:
    for serve, status in (("return 0", 0), ("return 7", 7), ("raise RuntimeError('no')", 1)):
        with supervisor(tmp_path / "over", serve) as process:
            assert process.wait() == status
            assert process.stderr is not None
            assert ("RuntimeError: no" in process.stderr.read()) == (status == 1)


def test_who_dies_again_and_again_does_not_keep_the_machine_busy(tmp_path: Path) -> None:
    with supervisor(tmp_path / "over", "print(time.monotonic(), flush=True); os.abort()") as process:
        times = [float(line(process)) for _ in range(6)]
        (tmp_path / "over").touch()
        process.wait()
    assert times[-1] - times[0] > 0.05 * (0.5 + 1 + 2 + 4), (
        "each pause is at least half of twice the one before"
    )


def test_who_serves_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with supervisor(tmp_path / "over") as process:
        pid = int(line(process))
        process.kill()
        process.wait()
        time.sleep(0.1)
        os.kill(pid, signal.SIGTERM)
        assert line(process) == "told"
