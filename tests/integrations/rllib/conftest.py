"""One Ray for these tests, and a small PPO whose envs note what they know."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
import rllib_envs
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

from traincast.integrations.rllib import TrainingInfoCallback

Configure = Callable[..., PPOConfig]
BATCH = 40


@pytest.fixture(scope="session")
def ray_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ray runs; the folder is TRAINCAST_DIR in the processes that it starts by itself."""
    directory = tmp_path_factory.mktemp("ray") / "channels"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINCAST_DIR", str(directory))
        path = [str(Path(rllib_envs.__file__).parent), os.environ.get("PYTHONPATH")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
        ray.init(num_cpus=4, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
    yield directory
    ray.shutdown()


@pytest.fixture
def notes_file(tmp_path: Path) -> Path:
    return tmp_path / "notes.jsonl"


@pytest.fixture
def configure(ray_directory: Path, notes_file: Path) -> Configure:
    """`configure(env, runners=0, ...)` returns a PPO config; further arguments are the callback's."""

    def make(
        env: Any,
        *,
        runners: int = 0,
        envs: int = 2,
        mode: str = "sync",
        env_config: Any = None,
        **callback: Any,
    ) -> PPOConfig:
        return (
            PPOConfig()
            .environment(env, env_config={"notes": str(notes_file), **(env_config or {})})
            .callbacks(partial(TrainingInfoCallback, **callback) if callback else TrainingInfoCallback)
            .env_runners(num_env_runners=runners, num_envs_per_env_runner=envs, gym_env_vectorize_mode=mode)
            .training(train_batch_size=BATCH, minibatch_size=BATCH // 2, num_epochs=1)
            .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[4]))
        )

    return make


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds; the watchdog of the test ends what never does."""
    while not holds():
        time.sleep(0.02)
