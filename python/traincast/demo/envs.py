"""Gymnasium's MountainCar with a sparse reward and a head start that a curriculum can set."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

import traincast
from traincast.demo.settings import CURRICULUM, Run, Settings

__all__ = ["GREATEST_SPEED", "HeadStart", "make_env"]

GREATEST_SPEED = 0.07
"""MountainCar's own limit, in track units per step."""

_SPREAD = 0.2
"""Head starts are drawn from this range below `head_start`, so that the task gets harder without a jump."""


class HeadStart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The car starts with speed towards the goal, and the reward is 1 at the goal and 0 elsewhere.

    With a full head start it rolls to the goal by itself. As the head start shrinks, the start states move
    away from the goal: a reverse curriculum (Florensa et al. 2017, arXiv:1707.05300, also with a sparse
    reward). Without one the car starts as in the env itself: at rest in the valley, which random actions
    never leave.

    `reset(options={"head_start": False})` always gives the env's own start, which evaluations use.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.head_start = 0.0
        """0...1, a share of the greatest speed; a curriculum sets it."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, then push; `info["head_start"]` is the speed given, 0...1, a share of the greatest speed."""
        wanted = self.head_start if (options or {}).get("head_start", True) else 0.0
        observation, info = self.env.reset(seed=seed)
        pushed = 0.0
        if wanted > 0:
            base: Any = self.env.unwrapped
            pushed = float(base.np_random.uniform(max(0.0, wanted - _SPREAD), wanted))
            base.state = np.array([base.state[0], pushed * GREATEST_SPEED])
            observation = np.array(base.state, dtype=np.float32)
        return observation, {**info, "head_start": pushed}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step; the reward is 1.0 when the goal is reached, else 0.0."""
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, float(terminated), terminated, truncated, info


def make_env(run: Run, settings: Settings) -> gymnasium.Env[Any, Any]:
    """Return an env that follows the run's channel; with the curriculum if the run is of that arm."""
    env: gymnasium.Env[Any, Any] = HeadStart(gymnasium.make("MountainCar-v0", disable_env_checker=True))
    if run.arm == CURRICULUM:
        env = traincast.curriculum.ProgressCurriculum(env, {"head_start": settings.head_start})
    return traincast.TrainingInfoWrapper(
        env,
        run.channel,
        run.policy_id,
        on_missing="raise",
        on_undelivered="ignore",  # no env of the baseline takes it, but it should pay the same costs
    )
