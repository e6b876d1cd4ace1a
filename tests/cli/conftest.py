"""The command line runs as a process of its own, with real channels of real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from learner_process import LearnerProcess
from shell import Shell, Start


@pytest.fixture
def shell() -> Shell:
    """Run `traincast ...`, its output going to pipes."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "traincast.cli", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout  # plain behind a pipe
        return done

    return run


@pytest.fixture
def learner() -> Iterator[Start]:
    """Start learners in processes of their own; whatever is left of them ends with the test."""
    with ExitStack() as stack:

        def start(name: str, policy_id: int = 0) -> LearnerProcess:
            return stack.enter_context(LearnerProcess(name, policy_id))

        yield start
