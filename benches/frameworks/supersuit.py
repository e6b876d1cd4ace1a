"""PettingZoo envs in SuperSuit's processes: `publish` beside the only other way, a new vector env."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import cycle
from typing import Any

import numpy as np
import supersuit
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

import traincast
from benches.cases.payloads import payloads
from benches.frameworks.cost import Cost, in_turns
from benches.frameworks.gymnasium import BATCH, OURS, publisher
from benches.frameworks.news import reset_with_news

FRAMEWORK = "PettingZoo, SuperSuit"
ENVS = 8
ROUNDS = 20
REBUILD = "make the envs anew"


class StillForTwo(ParallelEnv):  # type: ignore[misc]  # it is untyped
    """A parallel env whose reset costs next to nothing."""

    metadata: dict[str, Any] = {"name": "still_v0", "render_modes": []}  # noqa: RUF012 - PettingZoo's convention
    render_mode = None

    def __init__(self, training_info: dict[str, Any] | None = None) -> None:
        self.possible_agents = self.agents = ["one", "other"]
        self.training_info = training_info
        self.spaces = Box(0, 1, (1,), np.float32), Discrete(2)
        self.observation = np.zeros(1, np.float32)

    def set_training_info(self, training_info: dict[str, Any]) -> None:
        self.training_info = training_info

    def observation_space(self, agent: str) -> Box:
        return self.spaces[0]

    def action_space(self, agent: str) -> Discrete:
        return self.spaces[1]

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict.fromkeys(self.agents, self.observation), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> Any:
        raise NotImplementedError


def costs() -> list[Cost]:
    with ExitStack() as stack:
        run = stack.enter_context(traincast.Run("costs"))
        stack.callback(_vectorise(run.wrap_env(StillForTwo())).close)
        infos = cycle(payloads(BATCH))
        theirs = [_vectorise(StillForTwo())]

        def rebuild() -> None:
            theirs.pop().close()
            theirs.append(_vectorise(StillForTwo(next(infos))))

        blocked = in_turns({OURS: publisher(run), REBUILD: rebuild}, rounds=ROUNDS)
        theirs.pop().close()
        return [
            Cost(
                FRAMEWORK,
                OURS,
                ENVS,
                blocked[OURS] / BATCH,
                reset_with_news(run, run.wrap_env(StillForTwo()), StillForTwo()),
            ),
            Cost(FRAMEWORK, REBUILD, ENVS, blocked[REBUILD], 0.0),
        ]


def _vectorise(env: ParallelEnv) -> Any:
    vector = supersuit.pettingzoo_env_to_vec_env_v1(env)
    return supersuit.concat_vec_envs_v1(vector, ENVS, num_cpus=ENVS, base_class="gymnasium")
