"""`RecordVectorScores`: for vector envs that are implemented as one object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from traincast._optional import missing

try:
    import numpy as np

    from traincast.wrappers.vector import _Base
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.scores.RecordVectorScores") from None

from traincast.scores.episodes import Episodes, Score, Success, Task
from traincast.wrappers.channel import HasChannel

__all__ = ["RecordVectorScores"]


class RecordVectorScores(_Base):  # type: ignore[misc]  # its name depends on the version
    """Counts each episode of a vector env on the scoreboard of a run.

    It is for vector envs that are implemented as one object. If a vector env is built from functions, put
    `RecordScores` around each env instead. The arguments are those of `RecordScores`. Names are looked up in
    the final info of the env whose episode has ended; then as attributes of the vector env, where an array
    has an item for each env. A function is called with the vector env and the final info, which has the
    env's index under `"env_index"`.

    Example:
        >>> envs = traincast.scores.RecordVectorScores(envs, run, task="level")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: Any,
        run: HasChannel | str | None = None,
        *,
        task: Task = 0,
        success: Success | None = None,
        score: Score | None = None,
        policy_id: int | None = None,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(env)
        self._episodes = Episodes(
            run, task=task, success=success, score=score, policy_id=policy_id, directory=directory
        )
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, np.int64)
        self._over = np.zeros(env.num_envs, bool)

    def reset(self, **kwargs: Any) -> Any:
        """Reset the envs; episodes begin."""
        mask = (kwargs.get("options") or {}).get("reset_mask")
        which = slice(None) if mask is None else np.asarray(mask, bool)
        self._returns[which], self._lengths[which], self._over[which] = 0.0, 0, False
        return self.env.reset(**kwargs)

    def step(self, actions: Any) -> Any:
        """Step the envs, and record the episodes that have ended."""
        # In Gymnasium's NEXT_STEP mode the step after an episode's end is a reset, not a step.
        resets = self._over if _resets_in_next_step(self.env) else np.zeros_like(self._over)
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        self._returns += np.where(resets, 0.0, np.asarray(rewards, np.float64))
        self._lengths += ~resets
        self._over = np.logical_or(np.asarray(terminations, bool), np.asarray(truncations, bool)) & ~resets
        for index in np.flatnonzero(self._over):
            last = _final_info(infos, int(index))
            env = _Item(self.env, int(index))
            self._episodes.record(env, last, float(self._returns[index]), int(self._lengths[index]))
        self._returns[self._over], self._lengths[self._over] = 0.0, 0
        return observations, rewards, terminations, truncations, infos


RecordVectorScores.__module__ = "traincast.scores"


def _resets_in_next_step(env: Any) -> bool:
    mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
    return getattr(mode, "name", "") == "NEXT_STEP"


class _Item:
    """One env of a vector env: of attributes that are sequences, it has its own item."""

    def __init__(self, envs: Any, index: int) -> None:
        self.envs = envs
        self.index = index

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.envs, name)
        if getattr(value, "shape", ()) or isinstance(value, list | tuple):
            return value[self.index]
        return value


def _final_info(infos: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return the last info of one env's episode from the arrays of all envs."""
    final = infos.get("final_info", infos)  # in SAME_STEP mode, the other infos are of the next episode
    if isinstance(final, np.ndarray | list | tuple):  # Gymnasium 0.29
        found = dict(final[index] or {})
    else:
        found = {key: value[index] for key, value in final.items() if _has_item(final, key, index)}
    return found | {"env_index": index}


def _has_item(infos: Mapping[str, Any], key: str, index: int) -> bool:
    """Tell if an entry is an array with a value for this env; the mask `_key` says which envs have one."""
    mask = infos.get(f"_{key}", infos.get("_final_info", True))
    one = mask if np.ndim(mask) == 0 else mask[index]
    return not key.startswith("_") and isinstance(infos[key], np.ndarray | list | tuple) and bool(one)
