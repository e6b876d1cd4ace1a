"""`TrainingInfoParallelWrapper` and `TrainingInfoAECWrapper`: for PettingZoo's envs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from traincast._optional import missing

try:
    from pettingzoo import AECEnv, ParallelEnv
    from pettingzoo.utils.wrappers import BaseParallelWrapper, BaseWrapper
except ModuleNotFoundError as error:
    raise missing(error, "pettingzoo", "pettingzoo", "traincast's wrappers of PettingZoo envs") from None

from traincast._infos import shown_in
from traincast.wrappers.channel import HasChannel
from traincast.wrappers.feed import Leftover, OnMissing, OnUndelivered
from traincast.wrappers.feeding import Deliver, Feeding

__all__ = ["TrainingInfoAECWrapper", "TrainingInfoParallelWrapper"]


class _Feeding(Feeding):
    """What the two wrappers share: their arguments and infos."""

    _wraps: type

    def __init__(
        self,
        env: Any,
        name: HasChannel | str | None = None,
        policy_id: int | None = None,
        *,
        deliver: Deliver = "reset",
        on_missing: OnMissing = "warn",
        attach_timeout: float = 60.0,
        leftover: Leftover | None = None,
        on_undelivered: OnUndelivered = "warn",
        copy_arrays: bool = False,
        info_key: str | None = None,
        frozen: bool | Mapping[str, Any] = False,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        if not isinstance(env, self._wraps):
            raise TypeError(
                f"{type(self).__name__} wraps a pettingzoo.{self._wraps.__name__}, not "
                f"{type(env).__qualname__}; TrainingInfoParallelWrapper is for ParallelEnv, "
                "TrainingInfoAECWrapper for AECEnv, TrainingInfoWrapper for gymnasium.Env"
            )
        self._set_up(
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
        super().__init__(env)  # type: ignore[call-arg]  # PettingZoo's wrapper is next

    def _shown(self, infos: Mapping[Any, dict[str, Any]], agents: Iterable[Any]) -> dict[Any, dict[str, Any]]:
        """Return the infos of these agents with version and age added; empty without `info_key`."""
        if self._info_key is None:
            return {}
        facts = self._feed.facts()
        return {agent: shown_in(infos[agent], self._info_key, facts) for agent in agents}


class TrainingInfoParallelWrapper(_Feeding, BaseParallelWrapper):  # type: ignore[misc]  # it is untyped
    """Delivers the newest training information to a PettingZoo parallel env before each reset.

    The first object in the env, from outside in, that has `set_training_info` receives it. Put it around the
    env before PettingZoo's and SuperSuit's converters, because they may reset the env by themselves.

    Args:
        env: a `pettingzoo.ParallelEnv`.
        info_key: as for `TrainingInfoWrapper`, in the info of each agent.

    The other arguments are those of `TrainingInfoWrapper`.

    Example:
        >>> env = traincast.TrainingInfoParallelWrapper(pistonball_v6.parallel_env(), "run")  # doctest: +SKIP
    """

    _wraps = ParallelEnv

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, dict[str, Any]]]:
        """Deliver what is new, then reset the env."""
        undelivered = self._before_reset()
        observations, infos = self.env.reset(seed=seed, options=options)
        self._after_reset(undelivered)
        return observations, {**infos, **self._shown(infos, infos)}

    def step(self, actions: dict[Any, Any]) -> Any:
        """Deliver what is new if `deliver` asks for it, then step the env."""
        if self._at_step or self._feed.waiting:
            self._before_step()
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        if self._info_key is not None:
            over = [agent for agent in infos if terminations.get(agent) or truncations.get(agent)]
            infos = {**infos, **self._shown(infos, over)}
        return observations, rewards, terminations, truncations, infos

    def close(self) -> None:
        """Let go of the channel, then close the env."""
        self._feed.close()
        self.env.close()


class TrainingInfoAECWrapper(_Feeding, BaseWrapper):  # type: ignore[misc]  # it is untyped
    """Delivers the newest training information to a PettingZoo AEC env before each reset.

    The first object in the env, from outside in, that has `set_training_info` receives it.

    Args:
        env: a `pettingzoo.AECEnv`.
        info_key: as for `TrainingInfoWrapper`, in the info of each agent.

    The other arguments are those of `TrainingInfoWrapper`.

    Example:
        >>> env = traincast.TrainingInfoAECWrapper(tictactoe_v3.env(), "my-run")  # doctest: +SKIP
    """

    _wraps = AECEnv

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Deliver what is new, then reset the env."""
        undelivered = self._before_reset()
        self.env.reset(seed=seed, options=options)
        self._after_reset(undelivered)
        self.env.infos.update(self._shown(self.env.infos, self.env.infos))

    def step(self, action: Any) -> None:
        """Deliver what is new if `deliver` asks for it, then step the env."""
        if self._at_step or self._feed.waiting:
            self._before_step()
        self.env.step(action)
        if self._info_key is not None:
            env = self.env
            over = [agent for agent in env.infos if env.terminations.get(agent) or env.truncations.get(agent)]
            env.infos.update(self._shown(env.infos, over))

    def close(self) -> None:
        """Let go of the channel, then close the env."""
        self._feed.close()
        self.env.close()


for _wrapper in (TrainingInfoParallelWrapper, TrainingInfoAECWrapper):
    _wrapper.__module__ = "traincast"  # where users and pickles find them
