"""`wrap_env_creator`, and the wrapper that learns later which run it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium

from traincast._warnings import warn_once
from traincast.integrations.rllib.watch import look_at_all
from traincast.run import Run

__all__ = ["FollowingEnv", "wrap_env_creator"]


class FollowingEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An env that learns later which run it reads: env runners make their envs before there is a run.

    The vector envs call `follow_run`, in whichever process the env lives.
    """

    last_info: Any = None
    """The info of the newest step: RLlib's episodes of several agents keep only what belongs to an agent."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._bare = env
        self._told = False

    def follow_run(self, run: Run, **options: Any) -> None:
        """Read this run from the next reset on; `options` are those of `TrainingInfoWrapper`."""
        self.env = run.wrap_env(self._bare, **options)
        self._told = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Deliver what is new, then reset the env."""
        if not self._told:
            warn_once(
                "no run to follow",
                "an env that wrap_env_creator or TrainingInfoCallback has wrapped resets without training "
                "information, because nobody has told it which run it reads. In a training, use "
                "config.callbacks(TrainingInfoCallback). Elsewhere, make the env without wrap_env_creator, "
                "and wrap it with run.wrap_eval_env(env, {...}).",
            )
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        """Step the env."""
        result = self.env.step(action)
        self.last_info = result[-1]
        return result

    def close(self) -> None:
        """Close the env; in the algorithm's own process, this may mean that the algorithm has stopped."""
        super().close()
        look_at_all()


@dataclass(frozen=True)
class EnvCreator:
    """A function that makes an env and wraps it: what `wrap_env_creator` returns."""

    make_env: Callable[[Any], Any]

    def __call__(self, env_context: Any) -> Any:
        """Make an env, and wrap it."""
        env = self.make_env(env_context)
        if isinstance(env, gymnasium.Env) and not isinstance(env, gymnasium.vector.VectorEnv):
            return FollowingEnv(env)
        return env  # a vector env lives in the env runner itself, where the callback reaches it


@dataclass(frozen=True)
class _Registered:
    """Makes an env from Gymnasium's registry, as RLlib does."""

    name: str

    def __call__(self, env_context: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
        return gymnasium.make(self.name, **env_context)


def wrap_env_creator(make_env: Callable[[Any], Any] | str) -> EnvCreator:
    """Return an env creator for `register_env` whose envs follow the run of `TrainingInfoCallback`.

    It is needed where `gym_env_vectorize_mode` is `"async"`, and works in every other mode.

    Args:
        make_env: as for `register_env`, a function or class that is called with the `EnvContext` and returns
            a `gymnasium.Env` or a `MultiAgentEnv`; or the name of an env in Gymnasium's registry.

    Raises: TypeError if `make_env` is neither.

    Example:
        >>> register_env("my_env", wrap_env_creator(MyEnv))  # doctest: +SKIP
        >>> config.environment("my_env").callbacks(TrainingInfoCallback)  # doctest: +SKIP
    """
    if isinstance(make_env, str):
        return EnvCreator(_Registered(make_env))
    if not callable(make_env):
        raise TypeError(
            f"wrap_env_creator takes a function that makes an env, or the name of one, not {make_env!r}"
        )
    return EnvCreator(make_env)
