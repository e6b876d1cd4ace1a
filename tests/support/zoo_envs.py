"""PettingZoo envs of both kinds that want training information, and need no pygame."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import AECEnv, ParallelEnv

STEPS = "approx_total_training_steps"


class Pennies(ParallelEnv):
    """Matching pennies, `rounds` times; the observations tell the steps that the last reset knew."""

    metadata = {"name": "pennies_v0", "is_parallelizable": True, "render_modes": []}  # noqa: RUF012
    render_mode = None

    def __init__(self, rounds=2):
        self.possible_agents = ["even", "odd"]
        self.agents = []
        self.rounds = rounds
        self.training_info = {}
        self.resets = []

    def set_training_info(self, training_info):
        self.training_info = training_info

    def observation_space(self, agent):
        return self._spaces("seen", lambda: Box(-1, 1e9, (2,), np.float32), agent)

    def action_space(self, agent):
        return self._spaces("done", lambda: Discrete(2), agent)

    def _spaces(self, kind, make, agent):
        spaces = self.__dict__.setdefault(f"_{kind}_spaces", {})
        return spaces.setdefault(agent, make())

    def reset(self, seed=None, options=None):
        self.agents = list(self.possible_agents)
        self.round = 0
        self.resets.append(self.training_info.get(STEPS, -1))
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions):
        if not actions:
            self.agents = []
            return {}, {}, {}, {}, {}
        self.round += 1
        equal = actions["even"] == actions["odd"]
        rewards = {"even": float(equal), "odd": float(not equal)}
        over = dict.fromkeys(self.agents, self.round == self.rounds)
        result = (
            self._observations(),
            rewards,
            over,
            dict.fromkeys(over, False),
            {agent: {} for agent in over},
        )
        if self.round == self.rounds:
            self.agents = []
        return result

    def _observations(self):
        return {agent: np.array([self.round, self.resets[-1]], np.float32) for agent in self.possible_agents}

    def render(self):
        pass


class Nim(AECEnv):
    """The player who takes the last of four pieces wins; an action takes two (0) or one (1)."""

    metadata = {"name": "nim_v0", "is_parallelizable": False, "render_modes": []}  # noqa: RUF012
    render_mode = None

    def __init__(self):
        super().__init__()
        self.possible_agents = ["first", "second"]
        self.received = []
        spaces = {agent: (Box(0, 4, (1,), np.float32), Discrete(2)) for agent in self.possible_agents}
        self.observation_spaces = {agent: space[0] for agent, space in spaces.items()}
        self.action_spaces = {agent: space[1] for agent, space in spaces.items()}

    def set_training_info(self, training_info):
        self.received.append(training_info[STEPS])

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    def observe(self, agent):
        return np.array([self.left], np.float32)

    def reset(self, seed=None, options=None):
        self.left = 4
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}
        self.agent_selection = "first"

    def step(self, action):
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        other = next(one for one in self.agents if one != agent)
        self._cumulative_rewards[agent] = 0.0
        self.infos = {agent: {} for agent in self.agents}
        self.left = max(0, self.left - (1 if action else 2))
        if self.left == 0:
            self.rewards = {agent: 1.0, other: -1.0}
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = other
        self._accumulate_rewards()

    def render(self):
        pass

    def close(self):
        pass
