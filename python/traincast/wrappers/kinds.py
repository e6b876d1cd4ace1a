"""Chooses the wrapper for an env by its kind, and says what to do where a wrapper is for another kind."""

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


def check_single(env: Any, wrapper: str) -> None:
    """Raise TypeError, with the remedy, for what is no single Gymnasium env, but `wrapper` is put around."""
    gym, kind = _class("gymnasium", "Env"), f"{wrapper} wraps a single gymnasium.Env, not {_name_of(env)}"
    many = _class("gymnasium.vector", "VectorEnv"), _class("stable_baselines3.common.vec_env", "VecEnv")
    if any(isinstance(env, vector) for vector in many):
        raise TypeError(f"{kind}. {inside_of_vector_envs(wrapper)}")
    if isinstance(env, (_class("pettingzoo", "ParallelEnv"), _class("pettingzoo", "AECEnv"))):
        raise TypeError(
            f"{kind}. An env of several agents takes the training information itself, by set_training_info, "
            "and RecordParallelScores or RecordAECScores count its episodes"
        )
    if not isinstance(env, gym):
        raise TypeError(f"{kind}" + (": call the function that makes it" if callable(env) else ""))


def inside_of_vector_envs(wrapper: str) -> str:
    """Say where a wrapper of single envs belongs in a vector env."""
    return (
        "Put it around each env inside, in the functions that the vector env is built from: "
        f"SyncVectorEnv([lambda: {wrapper}(make_env(), ...)]). A vector env that is one object takes the "
        "training information itself, by set_training_info, and RecordVectorScores counts its episodes"
    )


def _name_of(env: Any) -> str:
    return repr(env) if isinstance(env, type) else type(env).__name__


def _class(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, ())
