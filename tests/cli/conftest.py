"""The command line runs as a process of its own, with real channels of real processes."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from learner_process import LearnerProcess
from shell import Shell, Start
from warm import Warm

import traincast.cli

CLI = Path(traincast.cli.__file__).with_name("__main__.py")


@pytest.fixture(scope="session")
def warm_cli() -> Iterator[Warm]:
    warm = Warm(["traincast.cli.app"])
    yield warm
    warm.close()


@pytest.fixture
def shell(warm_cli: Warm) -> Shell:
    """Run `traincast ...`, its output going to files."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            status = warm_cli.run(CLI, *arguments, out=out, err=err)
            printed = []
            for file in (out, err):
                file.seek(0)
                printed.append(file.read().decode())
        done = subprocess.CompletedProcess(["traincast", *arguments], status, *printed)
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
