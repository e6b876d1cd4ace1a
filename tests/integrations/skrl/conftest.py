"""A small skrl training in this process."""

from __future__ import annotations

from typing import Any

import pytest
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.memories.torch import RandomMemory
from skrl.trainers.torch import SequentialTrainer
from skrl.utils.model_instantiators.torch import categorical_model, deterministic_model

NETWORK = [{"name": "net", "input": "OBSERVATIONS", "layers": [8], "activations": "tanh"}]
TRAINER = {"disable_progressbar": True, "headless": True, "close_environment_at_exit": False}


@pytest.fixture
def agent_of(tmp_path):
    """Make a PPO agent for an env of skrl; it updates each 8 timesteps and remembers 64."""

    def make(env: Any, num_envs: int | None = None, **experiment: Any) -> PPO:
        spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
        model = {**spaces, "device": "cpu", "network": NETWORK}
        cfg = PPO_CFG(
            rollouts=8,
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
            models={
                "policy": categorical_model(**model, output="ACTIONS"),
                "value": deterministic_model(**model, output="ONE"),
            },
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
        trainer = SequentialTrainer(env=env, agents=agents, cfg={"timesteps": timesteps, **TRAINER}, **more)
        trainer.train()
        memory = (agents[0] if isinstance(agents, list) else agents).memory
        return memory.get_tensor_by_name("observations")[:timesteps, :, 0].numpy().copy()

    return run
