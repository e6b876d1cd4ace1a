"""A small skrl training in this process."""

from __future__ import annotations

from typing import Any

import pytest
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.memories.torch import RandomMemory
from skrl.trainers.torch import SequentialTrainer
from skrl_models import Policy, Value

TRAINER = {"disable_progressbar": True, "headless": True, "close_environment_at_exit": False}


@pytest.fixture
def agent_of(tmp_path):
    """Make a PPO agent for an env of skrl; it remembers 64 timesteps, and then updates."""

    def make(env: Any, num_envs: int | None = None, **experiment: Any) -> PPO:
        spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
        cfg = PPO_CFG(
            rollouts=64,
            learning_epochs=1,
            mini_batches=1,
            experiment={
                "directory": str(tmp_path),
                "experiment_name": "test",
                "write_interval": 0,
                "checkpoint_interval": 0,
            }
            | experiment,
        )
        return PPO(
            models={"policy": Policy(**spaces), "value": Value(**spaces)},
            memory=RandomMemory(memory_size=64, num_envs=num_envs or env.num_envs, device="cpu"),
            cfg=cfg,
            device="cpu",
            **spaces,
        )

    return make


@pytest.fixture
def train():
    """Train for some timesteps; return what the envs observed in each, one column per env."""

    def run(env: Any, agents: Any, timesteps: int, **more: Any) -> Any:
        memory = (agents[0] if isinstance(agents, list) else agents).memory
        begins = memory.memory_index
        SequentialTrainer(env=env, agents=agents, cfg={"timesteps": timesteps, **TRAINER}, **more).train()
        observed = memory.get_tensor_by_name("observations")[begins : begins + timesteps, :, 0]
        return observed.numpy().copy()

    return run
