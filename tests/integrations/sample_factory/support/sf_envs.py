"""Small envs for Sample Factory that record what they are told."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
from recording import record
from sample_factory.envs.env_utils import RewardShapingInterface, TrainingInfoInterface
from sample_factory.utils.attr_dict import AttrDict

from traincast.curriculum import TaskCurriculum

WORKER = AttrDict(worker_index=0, vector_index=0, env_id=0)  # what an env is made with in a worker
RUNNER: list[Any] = []  # the runner, where it lives in this process: serial mode
SHAPINGS: dict[int, list[Any]] = {}  # every reward shaping that it has had for a policy


def runner_steps(policy_id: int = 0) -> int | None:
    return RUNNER[-1].env_steps.get(policy_id) if RUNNER else None


def acting_policies(env: Any) -> list[int] | None:
    """Return the policy that acts for each agent of this env, from the worker's own books; serial mode."""
    for worker in RUNNER[-1].sampler.rollout_workers if RUNNER else ():
        for runner in worker.env_runners:
            for actors in getattr(runner, "actor_states", ()):
                if actors[0].env.unwrapped is env:
                    return [actor.curr_policy_id for actor in actors]
    return None


def note_shapings() -> None:
    """Keep the runner's reward shapings; called so often that none is missed."""
    for policy, shaping in enumerate(RUNNER[-1].reward_shaping if RUNNER else ()):
        had = SHAPINGS.setdefault(policy, [])
        if shaping is not None and (not had or had[-1] != shaping):
            had.append(shaping)


def goals_of(policies: list[int] | None) -> list[list[float]] | None:
    """Return what the runner has had as `goal` for each of these policies, the present one last."""
    return policies and [[shaping["goal"] for shaping in SHAPINGS[policy]] for policy in policies]


class Plain(gym.Env):
    """One agent, episodes of fixed length, no interface."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)
    render_mode = None

    def __init__(self, cfg: Any, env_config: Any) -> None:
        self.length = cfg.episode_length
        self.sleep = cfg.step_sleep
        self.env_id = None if env_config is None else env_config.env_id
        self.steps = 0

    def reset(self, **kwargs: Any) -> Any:
        self.steps = 0
        return np.zeros(3, np.float32), {}

    def step(self, action: Any) -> Any:
        if self.sleep:
            time.sleep(self.sleep)
        self.steps += 1
        obs = np.full(3, self.steps / self.length, np.float32)
        return obs, float(action), self.steps >= self.length, False, {}


class Informed(Plain, TrainingInfoInterface):
    """Records the information that it has at each reset."""

    def __init__(self, cfg: Any, env_config: Any) -> None:
        Plain.__init__(self, cfg, env_config)
        TrainingInfoInterface.__init__(self)

    def set_training_info(self, training_info: Any) -> None:
        record("told", env=self.env_id, steps=training_info.get("approx_total_training_steps"))
        TrainingInfoInterface.set_training_info(self, training_info)

    def reset(self, **kwargs: Any) -> Any:
        record(
            "reset",
            env=self.env_id,
            policy=self.training_info.get("policy_id"),
            steps=self.training_info.get("approx_total_training_steps"),
            keys=list(self.training_info),
            extra=self.training_info.get("extra"),
            object=id(self.training_info),
            runner=runner_steps(self.training_info.get("policy_id", 0)),
        )
        return Plain.reset(self, **kwargs)


class Shaped(Plain, RewardShapingInterface):
    """Reward shaping, and no training information; Sample Factory's base names the argument `agent_idx`."""

    def __init__(self, cfg: Any, env_config: Any) -> None:
        Plain.__init__(self, cfg, env_config)
        self.shaping: dict[str, Any] = {"goal": 1.0, "delta": (0.5, -0.5)}
        self.agents: Any = None

    def get_default_reward_shaping(self) -> Any:
        return self.shaping

    def set_reward_shaping(self, reward_shaping: Any, agent_idx: Any) -> None:
        self.shaping, self.agents = reward_shaping, agent_idx


class ShapedOtherName(Shaped):
    """As Sample Factory's own `SequentialVectorizeWrapper` names the argument."""

    def set_reward_shaping(self, reward_shaping: Any, agent_indices: Any) -> None:
        super().set_reward_shaping(reward_shaping, agent_indices)


class InformedShaped(Informed, RewardShapingInterface):
    """Both interfaces; records the shaping that is in use at the first step of each episode."""

    def __init__(self, cfg: Any, env_config: Any) -> None:
        Informed.__init__(self, cfg, env_config)
        self.shaping: dict[str, Any] = {"goal": 1.0, "delta": (0.5, -0.5)}

    def get_default_reward_shaping(self) -> Any:
        return self.shaping

    def set_reward_shaping(self, reward_shaping: Any, agent_idx: Any) -> None:
        self.shaping = reward_shaping

    def step(self, action: Any) -> Any:
        note_shapings()
        if self.steps == 0:
            acting = acting_policies(self)
            record(
                "first step",
                agents=[self.training_info.get("policy_id")],
                goals=[self.shaping["goal"]],
                acting=acting,
                acting_goals=goals_of(acting),
            )
        return Plain.step(self, action)


class Team(gym.Env, TrainingInfoInterface, RewardShapingInterface):
    """Two agents; resets itself inside `step`, as Sample Factory expects of such envs."""

    num_agents = 2
    is_multiagent = True
    observation_space = Plain.observation_space
    action_space = Plain.action_space
    render_mode = None

    def __init__(self, cfg: Any, env_config: Any) -> None:
        TrainingInfoInterface.__init__(self)
        self.length = cfg.episode_length
        self.steps = 0
        self.shaping: list[Any] = [{"goal": 1.0} for _ in range(2)]
        self.cfg = cfg
        self.env_id = None if env_config is None else env_config.env_id

    def get_default_reward_shaping(self) -> Any:
        return self.shaping[0]  # what is in use, not the default: an example of Sample Factory's does so

    def set_reward_shaping(self, reward_shaping: Any, agent_idx: Any) -> None:
        agents = range(2)[agent_idx] if isinstance(agent_idx, slice) else [agent_idx]
        for agent in agents:
            self.shaping[agent] = reward_shaping

    def observations(self) -> Any:
        return [np.full(3, self.steps / self.length, np.float32) for _ in range(2)]

    def reset(self, **kwargs: Any) -> Any:
        self.steps = 0
        policy = self.training_info.get("policy_id", 0)
        record(
            "reset",
            env=self.env_id,
            policy=policy,
            steps=self.training_info.get("approx_total_training_steps"),
            runner=runner_steps(policy),
        )
        return self.observations(), [{}, {}]

    def step(self, actions: Any) -> Any:
        note_shapings()
        if self.steps == 0:
            agents = self.training_info.get("agents") or [self.training_info] * 2
            acting = acting_policies(self)
            record(
                "first step",
                env=self.env_id,
                agents=[each.get("policy_id") for each in agents],
                goals=[each["goal"] for each in self.shaping],
                acting=acting,
                acting_goals=goals_of(acting),
            )
        self.steps += 1
        done = self.steps >= self.length
        rewards = [float(action) for action in actions]
        infos = [{"true_objective": reward} for reward in rewards]
        obs = self.reset()[0] if done else self.observations()
        return obs, rewards, [done, done], [False, False], infos


class Hidden(gym.Env):
    """Keeps the env where Sample Factory's look-up does not see it."""

    render_mode = None

    def __init__(self, env: Any) -> None:
        self.venv = env
        self.observation_space, self.action_space = env.observation_space, env.action_space

    unwrapped = property(lambda self: self.venv.unwrapped)

    def reset(self, **kwargs: Any) -> Any:
        return self.venv.reset(**kwargs)

    def step(self, action: Any) -> Any:
        return self.venv.step(action)


class ArrayEquality(Informed):
    """Compares like an array does."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return np.zeros(3) == np.ones(3)


ENVS = {
    "plain": Plain,
    "informed": Informed,
    "shaped": Shaped,
    "shaped_other_name": ShapedOtherName,
    "informed_shaped": InformedShaped,
    "team": Team,
    "array_equality": ArrayEquality,
}


class Levels(Plain):
    """Succeeds at each level that it knows of; each episode's return says which one it was."""

    level = -1

    def step(self, action: Any) -> Any:
        observation, _, terminated, truncated, info = super().step(action)
        return (
            observation,
            self.level / self.length,
            terminated,
            truncated,
            info | {"success": self.level >= 0},
        )


def make_env(full_env_name: str, cfg: Any = None, env_config: Any = None, render_mode: Any = None) -> Any:
    if full_env_name == "levels":
        return TaskCurriculum(Levels(cfg, env_config), "level")
    if full_env_name == "hidden":
        return Hidden(Informed(cfg, env_config))
    return ENVS[full_env_name](cfg, env_config)


NAMES = (*ENVS, "hidden", "levels")
