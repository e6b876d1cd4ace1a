"""`RecordParallelScores` and `RecordAECScores`: for PettingZoo's envs."""

from __future__ import annotations

import os
from typing import Any

from traincast._optional import missing

try:
    from pettingzoo.utils import BaseParallelWrapper, BaseWrapper
except ModuleNotFoundError as error:
    raise missing(error, "pettingzoo", "pettingzoo", "traincast.scores.RecordParallelScores") from None

from traincast.scores.episodes import Episodes, Score, Success, Task
from traincast.wrappers.channel import HasChannel

__all__ = ["RecordAECScores", "RecordParallelScores"]


class _Recording:
    """An episode lasts until no agent is left; its return is the mean of the agents' returns."""

    env: Any

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
        super().__init__(env)  # type: ignore[call-arg]  # PettingZoo's wrapper is next
        self._episodes = Episodes(
            run, task=task, success=success, score=score, policy_id=policy_id, directory=directory
        )
        self._returns: dict[Any, float] = {}
        self._steps = 0

    def _begin(self) -> None:
        self._returns, self._steps = dict.fromkeys(self.env.agents, 0.0), 0

    def _add(self, rewards: dict[Any, Any]) -> None:
        self._steps += 1
        for agent, reward in rewards.items():
            self._returns[agent] = self._returns.get(agent, 0.0) + float(reward)

    def _end(self, infos: dict[Any, dict[str, Any]]) -> None:
        if not self._returns:
            return  # the episode was recorded already
        merged: dict[str, Any] = {}
        for info in infos.values():
            merged |= info
        mean = sum(self._returns.values()) / len(self._returns)
        self._episodes.record(self.env, merged, mean, self._steps)
        self._returns, self._steps = {}, 0


class RecordParallelScores(_Recording, BaseParallelWrapper):  # type: ignore[misc]  # it is untyped
    """Counts each episode of a PettingZoo parallel env on the scoreboard of a run.

    An episode ends when no agent is left. Its return is the mean of the agents' returns, its length is the
    number of steps, and its last info is merged from those of the last agents. The arguments are those of
    `RecordScores`.

    Example:
        >>> env = traincast.scores.RecordParallelScores(env, run, success="won")  # doctest: +SKIP
    """

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset the env; an episode begins."""
        found = self.env.reset(seed=seed, options=options)
        self._begin()
        return found

    def step(self, actions: dict[Any, Any]) -> Any:
        """Step the env, and record the episode if no agent is left."""
        found = self.env.step(actions)
        _, rewards, _, _, infos = found
        self._add(rewards)
        if not self.env.agents:
            self._end(infos)
        return found


class RecordAECScores(_Recording, BaseWrapper):  # type: ignore[misc]  # it is untyped
    """Counts each episode of a PettingZoo AEC env on the scoreboard of a run.

    It works like `RecordParallelScores`, but the length counts the steps of single agents.

    Example:
        >>> env = traincast.scores.RecordAECScores(env, run, success="won")  # doctest: +SKIP
    """

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Reset the env; an episode begins."""
        self.env.reset(seed=seed, options=options)
        self._begin()

    def step(self, action: Any) -> None:
        """Step the env, and record the episode if it has ended for all agents."""
        env = self.env
        was_over = env.terminations[env.agent_selection] or env.truncations[env.agent_selection]
        env.step(action)
        if not was_over:
            self._add(env.rewards)
        if all(env.terminations[agent] or env.truncations[agent] for agent in env.agents):
            self._end(env.infos)


for _wrapper in (RecordParallelScores, RecordAECScores):
    _wrapper.__module__ = "traincast.scores"
