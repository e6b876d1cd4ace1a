"""Envs for RLlib that note in a file what each reset knows: `env_config={"notes": PATH}`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from traincast.curriculum import Linear, ProgressCurriculum

STEPS = "approx_total_training_steps"
BOX = gymnasium.spaces.Box(0.0, 1e9, (1,), np.float32)
CHOICE = gymnasium.spaces.Discrete(2)
OBSERVATION = np.zeros(1, np.float32)
LENGTH = 5


class _Noting:
    """Takes training information, and notes at each reset what it has."""

    difficulty = -1.0

    def set_up(self, config: Any) -> None:
        self.config = dict(config)
        self.worker_index = getattr(config, "worker_index", None)
        self.count = 0
        self.info: dict[str, Any] | None = None

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.info = training_info

    def note(self) -> None:
        self.count = 0
        with open(self.config["notes"], "a") as file:
            event = {"pid": os.getpid(), "worker": self.worker_index, "env": id(self), "info": self.info}
            file.write(json.dumps(event | {"difficulty": self.difficulty}) + "\n")

    def over(self) -> bool:
        self.count += 1
        if self.count == self.config.get("fails_at"):
            raise RuntimeError("the simulator broke down")
        return self.count >= LENGTH


class NotingEnv(gymnasium.Env[Any, Any], _Noting):
    observation_space = BOX
    action_space = CHOICE

    def __init__(self, config: Any) -> None:
        self.set_up(config)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.note()
        return OBSERVATION, {}

    def step(self, action: Any) -> Any:
        return OBSERVATION, 1.0, self.over(), False, {}


class NotingAgents(MultiAgentEnv, _Noting):
    """Two agents."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.agents = self.possible_agents = ["left", "right"]
        self.observation_spaces = dict.fromkeys(self.agents, BOX)
        self.action_spaces = dict.fromkeys(self.agents, CHOICE)
        self.set_up(config)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.note()
        return dict.fromkeys(self.agents, OBSERVATION), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        over = self.over()
        of_each = dict.fromkeys([*self.agents, "__all__"], over)
        return (
            dict.fromkeys(self.agents, OBSERVATION),
            dict.fromkeys(self.agents, 1.0),
            of_each,
            dict.fromkeys(of_each, False),
            {agent: {} for agent in self.agents},
        )


class NotingVector(gymnasium.vector.VectorEnv[Any, Any, Any], _Noting):
    """Two envs in one object, which resets them itself."""

    metadata: ClassVar = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}
    single_observation_space = BOX
    single_action_space = CHOICE

    def __init__(self, config: Any) -> None:
        self.num_envs = config["num_envs"]
        self.observation_space = gymnasium.vector.utils.batch_space(BOX, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(CHOICE, self.num_envs)
        self.set_up(config)
        self.ended = False

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        self.note()
        self.ended = False
        return np.zeros((self.num_envs, 1), np.float32), {}

    def step(self, actions: Any) -> Any:
        if self.ended:
            self.note()
        else:
            self.ended = self.over()
            return self._outcome(1.0, self.ended)
        self.ended = False
        return self._outcome(0.0, False)

    def _outcome(self, reward: float, over: bool) -> Any:
        zeros = np.zeros(self.num_envs, bool)
        rewards = np.full(self.num_envs, reward)
        return np.zeros((self.num_envs, 1), np.float32), rewards, zeros | over, zeros, {}


def rising(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Put a curriculum around what `make` makes: the difficulty is the training steps."""
    return lambda config: ProgressCurriculum(make(config), {"difficulty": Linear(0.0, 1e6, 1_000_000)})


def notes(path: Path) -> list[dict[str, Any]]:
    """What the envs of one `env_config` have noted, in their order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def steps_in(path: Path) -> list[Any]:
    """The training steps at each reset; None if the env had no training information."""
    return [None if event["info"] is None else event["info"][STEPS] for event in notes(path)]
