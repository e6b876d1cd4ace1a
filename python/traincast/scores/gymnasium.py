"""`RecordScores`: for single Gymnasium envs."""

from __future__ import annotations

import os
from typing import Any, SupportsFloat

from traincast._optional import missing

try:
    import gymnasium
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.scores.RecordScores") from None

from traincast.scores.episodes import Episodes, Score, Success, Task
from traincast.wrappers.channel import HasChannel
from traincast.wrappers.endings import EndWatch

__all__ = ["RecordScores"]

_Wrapper = gymnasium.Wrapper[Any, Any, Any, Any]


class RecordScores(_Wrapper):
    """Counts each episode of an env on the scoreboard of a run.

    Put it outside of `TimeLimit`, so that it sees the end of every episode, and inside of wrappers that reset
    the env by themselves. An episode that an early reset abandons does not count.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x, with scalar rewards.
        run: the `Run`, or its name; None: the name in `TRAINCAST_NAME`.
        task: the task of an episode: a number; the name of a key of its last info, or else of an attribute of
            the env or an inner one; or a function of the env and that info.
        success: whether the episode succeeded: a name, as above, or a function of the env and its last info.
            None: `info["success"]`, or `"is_success"`, or `"goal_achieved"`.
        score: a number for `last_score`: a name or function, as above. None: the episode's return.
        policy_id: the policy of the run; None: the run's.
        directory: where the channel is; None: the run's directory, or the default.

    Raises: TypeError if the env is not a single env, or another argument is of a wrong type.

    Example:
        >>> env = traincast.scores.RecordScores(env, run, task="level")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        run: HasChannel | str | None = None,
        *,
        task: Task = 0,
        success: Success | None = None,
        score: Score | None = None,
        policy_id: int | None = None,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(env, gymnasium.Env) or isinstance(env, gymnasium.vector.VectorEnv):
            raise TypeError(
                f"RecordScores wraps a single gymnasium.Env, not {type(env).__qualname__}; vector envs have "
                "RecordVectorScores, PettingZoo's have RecordParallelScores and RecordAECScores"
            )
        super().__init__(env)
        self._episodes = Episodes(
            run, task=task, success=success, score=score, policy_id=policy_id, directory=directory
        )
        self._return, self._length = 0.0, 0
        self._unended: EndWatch | None = EndWatch()

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the env; an episode begins."""
        if self._unended is not None and self._length:
            self._unended.abandoned(self)
        self._return, self._length = 0.0, 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the env, and record the episode if that was its last step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        self._length += 1
        if terminated or truncated:
            self._unended = None
            self._episodes.record(self.env, info, self._return, self._length)
            self._return, self._length = 0.0, 0  # for envs that reset themselves
        return observation, reward, terminated, truncated, info


RecordScores.__module__ = "traincast.scores"
