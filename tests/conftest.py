"""Each test has a channel directory of its own, and a watchdog ends one that hangs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from traincast import _warnings
from traincast.wrappers import missing

# Envs that cross a process border must be importable by name over there too: children inherit sys.path.
sys.path.insert(0, str(Path(__file__).parent / "support"))

from places import place

# A shell has its background jobs ignore Ctrl-C, and so would the children that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Several processes share two cores: torch's threads would wait for each other. And a forked child would wait
# for ever for its parent's threads, which it does not have.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Ray's workers are nice, and would wait for whatever else a busy machine does.
os.environ.setdefault("RAY_worker_niceness", "0")

# And Ray would start a worker for each CPU that it is told of, whether tests use them or not. It starts here
# some twenty times; it also sends reports on its use.
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

# Tianshou (numba) and rl_games (torch) would compile in every process, for longer than these trainings take.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

HANG_SECONDS = 300  # a watchdog, not a measurement

# A busy machine must not fail a test: hypothesis has no deadline for an example, nor for generating one. CI
# uses the same examples each time, so that only a change of the code can fail; elsewhere they are new ones.
# Tests that run a second time, on another interpreter or build, need not try as many.
hypothesis.settings.register_profile(
    "no time limits",
    deadline=None,
    max_examples=int(os.environ.get("TRAINCAST_TEST_EXAMPLES", "100")),
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("no time limits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(HANG_SECONDS, method="thread"))


@pytest.fixture(autouse=True)
def traincast_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh channel directory, known to child processes through the environment."""
    monkeypatch.delenv("TRAINCAST_NAME", raising=False)
    with place() as path:
        monkeypatch.setenv("TRAINCAST_DIR", str(path))
        yield path


@pytest.fixture(autouse=True)
def said_anew() -> Iterator[None]:
    """What is said once per process is said once per test, and never after the test's end."""
    yield
    _warnings._said.clear()
    missing._watches.clear()


@pytest.fixture
def channel_name(request: pytest.FixtureRequest) -> str:
    """A channel name that tells which test it belongs to."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in request.node.name)
    return plain.lstrip("-")[:100] or "channel"
