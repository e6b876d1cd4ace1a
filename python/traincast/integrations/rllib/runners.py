"""The part in the env runners: wraps their envs, and tells them which run to read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium

from traincast import TrainingInfoVectorWrapper
from traincast._infos import numbers_in
from traincast._warnings import warn_once
from traincast.integrations.rllib.envs import FollowingEnv
from traincast.run import Run

__all__ = ["Service", "log_curriculum", "prepare", "serve"]

_ASYNC = (
    'the envs live in processes of their own (gym_env_vectorize_mode="async"), which no callback reaches, '
    "and get no training information. Wrap the function that makes them: register_env(name, "
    "wrap_env_creator(make_env)), from traincast.integrations.rllib"
)


@dataclass(frozen=True)
class Service:
    """What the callback tells an env runner: which run its envs read, and how."""

    run: Run
    wrapper_kwargs: Mapping[str, Any]
    evaluation_info: Mapping[str, Any] | None = None
    """In an evaluation: what envs see instead of the run's training information."""

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the wrapper around each env."""
        frozen = {} if self.evaluation_info is None else {"frozen": self.evaluation_info}
        return {**self.wrapper_kwargs, **frozen}


# After a failure an env runner makes its envs anew, and must remember what it was told.
_services: WeakKeyDictionary[Any, Service] = WeakKeyDictionary()


def serve(env_runner: Any, service: Service) -> str | None:
    """Tell an env runner which run its envs read; return a sentence if they cannot be told, else None."""
    known = _services.get(env_runner)
    if known is not None and known.run.channel == service.run.channel:
        return None
    _services[env_runner] = service
    return _tell(env_runner, service)


def prepare(env_runner: Any) -> None:
    """Wrap the envs that a runner has just made; if it has made them anew, tell them at once."""
    service = _services.get(env_runner)
    if service is None:
        _wrap(env_runner.env)
        return
    problem = _tell(env_runner, service)
    if problem is not None:
        warn_once(problem, problem)


def _wrap(env: Any) -> list[Any] | None:
    """Wrap each env in this process that is not wrapped yet, and return them; None if none are here."""
    envs = _sub_envs(env)
    if envs is not None:
        for index, sub_env in enumerate(envs):
            if not sub_env.has_wrapper_attr("follow_run"):
                envs[index] = FollowingEnv(sub_env)
    return envs


def _tell(env_runner: Any, service: Service) -> str | None:
    run, options, env = service.run, service.options, env_runner.env
    if env is None:  # the algorithm's local env runner has no envs if there are remote ones
        return None
    sub_envs = _wrap(env)
    if sub_envs is not None:
        for sub_env in sub_envs:
            sub_env.get_wrapper_attr("follow_run")(run, **options)
    elif isinstance(env.unwrapped, gymnasium.vector.AsyncVectorEnv):
        if not all(env.unwrapped.call("has_wrapper_attr", "follow_run")):
            return _ASYNC
        env.unwrapped.call("follow_run", run, **options)
    else:  # one object: a custom vector env in RLlib's wrapper, or the env of a custom runner
        holder = env if isinstance(env, gymnasium.vector.VectorWrapper) else env_runner
        whole = holder.env
        holder.env = run.wrap_env(
            whole.env if isinstance(whole, TrainingInfoVectorWrapper) else whole, **options
        )
    return None


def _sub_envs(env: Any) -> list[Any] | None:
    """Return the list in which a vector env of RLlib or Gymnasium keeps its envs in this process."""
    envs = getattr(getattr(env, "unwrapped", None), "envs", None)
    return envs if isinstance(envs, list) else None


def log_curriculum(env_runner: Any, metrics_logger: Any, episode: Any, env_index: int, key: str) -> None:
    """Log the curriculum's numbers in the infos at the end of an episode, as means over recent episodes."""
    config = env_runner.config
    window = max(1, math.ceil(config.metrics_num_episodes_for_smoothing / (config.num_env_runners or 1)))
    for info in _last_infos(env_runner, episode, env_index):
        shown = info.get(key) if isinstance(info, Mapping) else None
        if isinstance(shown, Mapping):
            for name, number in numbers_in(shown).items():
                metrics_logger.log_value((key, name), number, window=window)
            return


def _last_infos(env_runner: Any, episode: Any, env_index: int) -> Iterator[Any]:
    infos = episode.get_infos(-1)
    yield infos
    if env_runner.config.is_multi_agent:
        yield from infos.values()
        sub_envs = _sub_envs(env_runner.env)
        if sub_envs:
            yield sub_envs[env_index].get_wrapper_attr("last_info")
