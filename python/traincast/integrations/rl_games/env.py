"""`TrainingInfoEnv`: wraps an env of rl_games, in a training or in a player."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from traincast._infos import numbers_in
from traincast._warnings import warn_once
from traincast.integrations.rl_games.state import parts_of
from traincast.run import Run
from traincast.wrappers.feeding import Feeding

__all__ = ["DEFAULTS", "TrainingInfoEnv"]

DEFAULTS: dict[str, Any] = {
    "deliver": "reset",
    "on_missing": "warn",
    "attach_timeout": 60.0,
    "leftover": None,
    "on_undelivered": "warn",
    "copy_arrays": False,
    "info_key": None,  # rl_games drops the infos of resets
    "frozen": False,
    "directory": None,
}


class TrainingInfoEnv(Feeding):
    """Delivers the newest training information to an env of rl_games before each reset.

    It wraps envs as rl_games expects them, of one agent or several: `reset` returns only an observation, and
    `step` a 4-tuple. It has all attributes of the env. What it delivers, and when, is as in
    `TrainingInfoWrapper`.

    In a training it reads the run. In a player it keeps `eval_info`, or the training information of the
    checkpoint.
    """

    def __init__(
        self, env: Any, run: Run | None = None, eval_info: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self.env = env
        self.training_info = {}
        self._options = options
        self._is_given = run is not None or eval_info is not None
        self._is_fed = self._is_given
        if run is not None:
            self._set_up(run, None, **DEFAULTS | run._defaults | options)
        elif eval_info is not None:
            self._set_up(None, None, **DEFAULTS | options | {"frozen": eval_info})

    def set_env_state(self, env_state: Any) -> None:
        """Keep the training information of a checkpoint, from the next reset on."""
        state, inner = parts_of(env_state)
        if state is not None and not self._is_given:
            info = state["training_info"]
            print(f"=> the env sees the training information of the checkpoint: {_summary(info)}")
            self._set_up(None, None, **DEFAULTS | self._options | {"frozen": info})
            self._is_fed = True
        if inner is not None and hasattr(self.env, "set_env_state"):  # the env may be a vec env itself
            self.env.set_env_state(inner)

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        """Deliver what is new, then reset the env."""
        if not self._is_fed:
            warn_once(
                "player without a state",
                "the player's env gets no training information, and stays as it was built: no checkpoint was "
                "restored, or it is from a training without traincast. To give it some, pass "
                "wrap_env_creator(env_creator, eval_info={...})",
            )
            return self.env.reset(*args, **kwargs)
        undelivered = self._before_reset()
        result = self.env.reset(*args, **kwargs)
        self._after_reset(undelivered)
        return result

    def step(self, action: Any) -> Any:
        """Deliver what is new if `deliver` asks for it, then step the env."""
        if self._is_fed and (self._at_step or self._feed.waiting):
            self._before_step()
        return self.env.step(action)

    def close(self) -> None:
        """Detach from the channel, then close the env."""
        if self._is_fed:
            self._feed.close()
        if hasattr(self.env, "close"):
            self.env.close()

    def __getattr__(self, name: str) -> Any:
        if name == "env":  # while a copy is being made, it has no env yet
            raise AttributeError(name)
        return getattr(self.env, name)


def _summary(info: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={number:g}" for name, number in numbers_in(info).items())
