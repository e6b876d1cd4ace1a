"""Configurations of rl_games whose envs read a run, even in processes where nobody registered them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rl_games.common import env_configurations

from traincast.integrations.rl_games.env import DEFAULTS, TrainingInfoEnv
from traincast.run import Run

__all__ = ["configuration_for", "is_wrapped", "wrap_env_creator"]

_count = itertools.count(1)


@dataclass(frozen=True)
class _EnvCreator:
    """A function that makes an env in a `TrainingInfoEnv`."""

    make_env: Callable[..., Any]
    run: Run | None = None
    eval_info: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **kwargs: Any) -> TrainingInfoEnv:
        env = self.make_env(*args, **kwargs)
        return TrainingInfoEnv(env, self.run, None if self.run else self.eval_info, **self.options)


def wrap_env_creator(
    env_creator: Callable[..., Any], *, eval_info: Mapping[str, Any] | None = None, **options: Any
) -> Callable[..., TrainingInfoEnv]:
    """Return an `env_creator` whose envs take the training information of a checkpoint, for `play`.

    In a training they read the run of the vec env, as the envs of any other `env_creator` do.

    Args:
        env_creator: the function that makes an env, as in rl_games' configurations.
        eval_info: what the env of a player sees instead of the training information in its checkpoint. It has
            no effect on a player with `use_vecenv`.
        options: options of `TrainingInfoWrapper`, which also apply in a training: `deliver="both"` for envs
            that reset themselves inside `step`.

    Raises: TypeError if `env_creator` is not a function, or an option does not exist.

    Example:
        >>> configuration = {"vecenv_type": "TC", "env_creator": wrap_env_creator(make_env)}  # doctest: +SKIP
    """
    if not callable(env_creator):
        raise TypeError(f"wrap_env_creator takes a function that makes an env, not {env_creator!r}")
    unknown = [name for name in options if name not in DEFAULTS or name == "frozen"]
    if unknown:
        raise TypeError(f"wrap_env_creator has no option {', '.join(unknown)}, only {', '.join(DEFAULTS)}")
    return _EnvCreator(env_creator, None, eval_info, options)


class _Name(str):
    """The name of a configuration, which brings the configuration along to other processes."""

    configuration: dict[str, Any]

    def __reduce__(self) -> tuple[Callable[[str, dict[str, Any]], _Name], tuple[str, dict[str, Any]]]:
        # Ray pickles with cloudpickle, which includes lambdas and functions of the main script.
        return _register, (str(self), self.configuration)


def _register(name: str, configuration: dict[str, Any]) -> _Name:
    named = _Name(name)
    named.configuration = configuration
    env_configurations.register(name, configuration)
    return named


def configuration_for(config_name: str, run: Run) -> _Name:
    """Register a configuration whose envs read the run, and return its name."""
    configuration = dict(env_configurations.configurations[config_name])
    creator = configuration.get("env_creator")
    if creator is not None:
        known = creator if isinstance(creator, _EnvCreator) else _EnvCreator(creator)
        configuration["env_creator"] = replace(known, run=run)
    return _register(f"{config_name}#{next(_count)}", configuration)


def is_wrapped(config_name: str) -> bool:
    """Tell if `wrap_env_creator` made the env creator of a configuration."""
    configuration = env_configurations.configurations.get(config_name, {})
    return isinstance(configuration.get("env_creator"), _EnvCreator)
