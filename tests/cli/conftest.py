"""The command line runs as a process of its own, with real channels of real processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from learner_process import LearnerProcess
from shell import Shell, Start
from warm_shell import WarmShell


@pytest.fixture(scope="session")
def warm_shell() -> Iterator[WarmShell]:
    shell = WarmShell()
    yield shell
    shell.close()


@pytest.fixture
def shell(warm_shell: WarmShell) -> Shell:
    """Run `traincast ...`, its output going to no terminal."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = warm_shell.run(*arguments)
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout  # plain where no terminal is
        return done

    return run


@pytest.fixture
def learner() -> Iterator[Start]:
    """Start learners in processes of their own; whatever is left of them ends with the test."""
    with ExitStack() as stack:

        def start(name: str, policy_id: int = 0) -> LearnerProcess:
            return stack.enter_context(LearnerProcess(name, policy_id))

        yield start
