"""`RecordVectorScores`: for vector envs that are implemented as one object."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

from traincast._optional import missing

try:
    import gymnasium
    import numpy as np
    from numpy.typing import NDArray

    from traincast.wrappers.vector import _Base
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.scores.RecordVectorScores") from None

from traincast.scores.episodes import ABSENT, Episodes, Score, Success, Task, attribute_of
from traincast.wrappers.channel import HasChannel

__all__ = ["RecordVectorScores"]


class RecordVectorScores(_Base):  # type: ignore[misc]  # its name depends on the version
    """Counts each episode of a vector env on the scoreboard of a run.

    It is for vector envs that are implemented as one object. If a vector env is built from functions, put
    `RecordScores` around each env instead. The arguments are those of `RecordScores`. Names are looked up in
    the final info of the env whose episode has ended; then as attributes of the vector env, where an array
    has an item for each env. A function is called with the vector env and the final info, which has the
    env's index under `"env_index"`. In `SAME_STEP` mode, where the last step of an episode also begins the
    next one, an attribute that names the task is read before each step.

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
        self._task = task
        self._names = [name for name in (task, success, score) if isinstance(name, str)]
        self._mode = _autoreset_mode(env)
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
        # This step does not play an env whose episode is over: it resets the env (NEXT_STEP), or leaves it
        # alone until the user resets it (DISABLED).
        idle = self._over if self._mode in ("NEXT_STEP", "DISABLED") else np.zeros_like(self._over)
        before = self._attributes([self._task]) if self._mode == "SAME_STEP" else {}
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        self._returns += np.where(idle, 0.0, np.asarray(rewards, np.float64))
        self._lengths += ~idle
        ended = np.logical_or(np.asarray(terminations, bool), np.asarray(truncations, bool)) & ~idle
        self._over = ended | idle if self._mode == "DISABLED" else ended
        if ended.any():
            self._record(np.flatnonzero(ended), self._attributes(self._names) | before, infos)
        return observations, rewards, terminations, truncations, infos

    def _record(
        self, which: NDArray[np.intp], attributes: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> None:
        returns, lengths = self._returns[which], self._lengths[which]
        self._returns[which], self._lengths[which] = 0.0, 0
        refused: list[Exception] = []
        for index, episode_return, length in zip(which.tolist(), returns, lengths, strict=True):
            items = {name: _item(value, index) for name, value in attributes.items()}
            last = items | _final_info(infos, index)
            try:
                self._episodes.record(self.env, last, float(episode_return), int(length))
            except Exception as error:  # it is no reason not to count the episodes of the others
                refused.append(error)
        if refused:
            raise refused[0]

    def _attributes(self, names: Iterable[Any]) -> dict[str, Any]:
        """Return those of the names that the vector env has as attributes, as they are now."""
        found = {name: attribute_of(self.env, name) for name in names if isinstance(name, str)}
        return {name: copy(value) for name, value in found.items() if value is not ABSENT}


RecordVectorScores.__module__ = "traincast.scores"


def _autoreset_mode(env: Any) -> str:
    """Return the name of the mode; Gymnasium 0.29 has only one, and has no name for it."""
    mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
    return getattr(mode, "name", "SAME_STEP" if gymnasium.__version__.startswith("0.") else "")


def _item(value: Any, index: int) -> Any:
    is_array = getattr(value, "shape", ()) or isinstance(value, list | tuple)
    return value[index] if is_array else value


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
