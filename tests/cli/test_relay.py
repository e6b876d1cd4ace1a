"""`traincast relay`, where it cannot begin. What it does is tested with real nodes, in tests/relay."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from shell import Shell


def test_without_a_router_it_says_how_to_name_one(shell: Shell) -> None:
    for words in ([], ["run"]):
        done = shell("relay", "--via", "zenoh", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--listen" in done.stderr
    assert shell("relay", "--via", "pigeon", "tcp/host:1").returncode == 2


@pytest.mark.skipif(find_spec("zenoh") is not None, reason="zenoh is installed here")
def test_without_zenoh_it_names_the_command_that_installs_it(shell: Shell) -> None:
    done = shell("relay", "--via", "zenoh", "tcp/127.0.0.1:7447")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("pip install 'traincast[zenoh]'\n")
    assert done.stderr.count("\n") == 1
