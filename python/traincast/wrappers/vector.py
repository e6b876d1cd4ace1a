"""`TrainingInfoVectorWrapper`: for vector envs that are implemented as one object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from traincast._optional import missing

try:
    import gymnasium
    import numpy as np
    from gymnasium.utils import RecordConstructorArgs
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.TrainingInfoVectorWrapper") from None

from traincast.wrappers.channel import HasChannel
from traincast.wrappers.feed import Leftover, OnMissing, OnUndelivered
from traincast.wrappers.feeding import Deliver, Feeding

__all__ = ["TrainingInfoVectorWrapper"]

# Gymnasium 0.29 has the base class under another name.
_names = ("VectorWrapper", "VectorEnvWrapper")
_Base: Any = next(getattr(gymnasium.vector, name) for name in _names if hasattr(gymnasium.vector, name))


class TrainingInfoVectorWrapper(_Base, Feeding, RecordConstructorArgs):  # type: ignore[misc]  # as said above
    """Delivers the newest training information to a vector env before it resets and before it steps.

    It is for vector envs that are implemented as one object: envs with a vectorized form of their own, as
    `gymnasium.make_vec` returns it, or envs on an accelerator. They reset episodes inside `step`, so the
    wrapper also delivers there. The first object, from outside in, that has `set_training_info` receives it;
    in a `SyncVectorEnv`, each env.

    If a vector env is built from functions, put `TrainingInfoWrapper` around each env instead: it delivers
    when that env resets, and also works in the processes of an `AsyncVectorEnv`.

    Args:
        env: a `gymnasium.vector.VectorEnv`, of Gymnasium 0.29 or 1.x.
        deliver: `"reset"`: before `reset`. `"step"`: before each `step`. `"both"`: before both.
        info_key: as for `TrainingInfoWrapper`; the infos then have arrays of shape `(num_envs,)` for
            `version` and `age`, at `reset` and at each step at which an episode ends.

    The other arguments are those of `TrainingInfoWrapper`.

    Example:
        >>> envs = gymnasium.make_vec("CartPole-v1", 8)  # doctest: +SKIP
        >>> envs = traincast.TrainingInfoVectorWrapper(envs, "my-run")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.vector.VectorEnv[Any, Any, Any],
        name: HasChannel | str | None = None,
        policy_id: int | None = None,
        *,
        deliver: Deliver = "both",
        on_missing: OnMissing = "warn",
        attach_timeout: float = 60.0,
        leftover: Leftover | None = None,
        on_undelivered: OnUndelivered = "warn",
        copy_arrays: bool = False,
        info_key: str | None = None,
        frozen: bool | Mapping[str, Any] = False,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(env, gymnasium.vector.VectorEnv):
            raise TypeError(
                "TrainingInfoVectorWrapper wraps a gymnasium.vector.VectorEnv, not "
                f"{type(env).__qualname__}; a single env has TrainingInfoWrapper"
            )
        arguments = self._set_up(
            name,
            policy_id,
            deliver=deliver,
            on_missing=on_missing,
            attach_timeout=attach_timeout,
            leftover=leftover,
            on_undelivered=on_undelivered,
            copy_arrays=copy_arrays,
            info_key=info_key,
            frozen=frozen,
            directory=directory,
        )
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, **arguments)
        _Base.__init__(self, env)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Deliver what is new, then reset the envs."""
        undelivered = self._before_reset()
        observations, infos = self.env.reset(seed=seed, options=options)
        self._after_reset(undelivered)
        self._put_facts(infos)
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Deliver what is new if `deliver` asks for it, then step the envs."""
        if self._at_step or self._feed.waiting:
            self._before_step()
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if self._info_key is not None and (np.any(terminated) or np.any(truncated)):
            self._put_facts(infos)
        return observations, rewards, terminated, truncated, infos

    def close(self, **kwargs: Any) -> None:
        """Detach from the channel, then close the envs."""
        self._feed.close()
        self.env.close(**kwargs)

    if hasattr(_Base, "__del__"):  # that of Gymnasium 0.29 fails if the constructor has refused the env

        def __del__(self) -> None:
            if "env" in self.__dict__:
                super().__del__()

    def _put_facts(self, infos: dict[str, Any]) -> None:
        """Add version and age to the infos as Gymnasium's vector envs do: as arrays with masks."""
        if self._info_key is None:
            return
        arrays: dict[str, Any] = {}
        for name, fact in self._feed.facts().items():
            arrays |= {name: np.full(self.env.num_envs, fact), f"_{name}": np.ones(self.env.num_envs, bool)}
        there = infos.get(self._info_key)
        infos[self._info_key] = {**(there if isinstance(there, dict) else {}), **arrays}
        infos[f"_{self._info_key}"] = np.ones(self.env.num_envs, bool)


TrainingInfoVectorWrapper.__module__ = "traincast"  # where users, pickles and env specs find it
