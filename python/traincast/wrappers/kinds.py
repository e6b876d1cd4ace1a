"""Chooses the wrapper for an env by the kind of the env."""

from __future__ import annotations

import sys
from typing import Any

from traincast.wrappers.channel import HasChannel

__all__ = ["wrap"]

# Envs of frameworks that are none of Gymnasium's, and where the wrapper goes.
_OTHERS = {
    ("stable_baselines3.common.vec_env", "VecEnv"): (
        "make_vec_env(..., wrapper_class=run.wrap_env), or wrap_env_fn for each function that it is built "
        "from"
    ),
    ("tianshou.env", "BaseVectorEnv"): "wrap_env_fn for each function that it is built from",
    ("torchrl.envs", "EnvBase"): (
        "GymWrapper(run.wrap_env(env)), or TransformedEnv(env, hook.transform()) with a "
        "traincast.integrations.torchrl.TrainingInfoHook"
    ),
}


def wrap(env: Any, run: HasChannel | str, **options: Any) -> Any:
    """Wrap a Gymnasium env, a Gymnasium vector env, or a PettingZoo env of either kind.

    While a package is not loaded, no env of it can exist, so nothing is imported to find out.

    Raises: TypeError if it is none of these.
    """
    if isinstance(env, _class("gymnasium.vector", "VectorEnv")):  # a gymnasium.Env too, in 0.29
        from traincast.wrappers.vector import TrainingInfoVectorWrapper

        return TrainingInfoVectorWrapper(env, run, **options)
    if isinstance(env, _class("pettingzoo", "ParallelEnv")):
        from traincast.wrappers.pettingzoo import TrainingInfoParallelWrapper

        return TrainingInfoParallelWrapper(env, run, **options)
    if isinstance(env, _class("pettingzoo", "AECEnv")):
        from traincast.wrappers.pettingzoo import TrainingInfoAECWrapper

        return TrainingInfoAECWrapper(env, run, **options)
    for other, remedy in _OTHERS.items():
        if isinstance(env, _class(*other)):
            kind = type(env).__name__
            raise TypeError(
                f"wrap_env goes around each single env of Gymnasium, not around {kind}: use {remedy}"
            )
    from traincast.wrappers.gymnasium import TrainingInfoWrapper

    if callable(env) and not isinstance(env, _class("gymnasium", "Env")):
        raise TypeError(f"wrap_env takes an env, not {env!r}; wrap_env_fn takes a function that makes one")
    return TrainingInfoWrapper(env, run, **options)


def _class(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, ())
