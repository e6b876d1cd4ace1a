"""What the tests of rl_games share."""

from __future__ import annotations

import copy
import os

import pytest
from rl_games.common import env_configurations, vecenv
from rl_games.common.algo_observer import DefaultAlgoObserver


@pytest.fixture(autouse=True)
def _registrations(monkeypatch):
    """What a test registers is its own."""
    monkeypatch.setattr(vecenv, "vecenv_config", dict(vecenv.vecenv_config))
    before = copy.copy(env_configurations.configurations)
    yield
    env_configurations.configurations.clear()
    env_configurations.configurations.update(before)


class Watching(DefaultAlgoObserver):
    """Keeps the algorithm, and what its envs have seen by the end of each epoch."""

    def after_init(self, algo):
        super().after_init(algo)
        self.algo = algo


@pytest.fixture
def watching():
    return Watching()


@pytest.fixture
def newest(tmp_path):
    """The newest checkpoint of a training."""

    def of(folder):
        files = (tmp_path / folder).glob("short/nn/last_*.pth")
        return str(max(files, key=lambda file: os.stat(file).st_mtime_ns))

    return of
