"""The env side of a hook: functions of a run, which can be pickled to workers without the trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torchrl.envs import EnvBase

from traincast.integrations.torchrl.batched import transformed
from traincast.integrations.torchrl.transform import TrainingInfoTransform
from traincast.integrations.torchrl.workers import let_workers_warn
from traincast.run import EnvFn, Run

__all__ = ["eval_transform_of", "transform_of", "wrap_env", "wrap_env_fn", "wrap_eval_env"]


def transform_of(run: Run, **options: Any) -> TrainingInfoTransform:
    """Return a transform that reads the run."""
    return TrainingInfoTransform(run, **run._defaults | options)


def eval_transform_of(
    run: Run, training_info: Mapping[str, Any] | None = None, **options: Any
) -> TrainingInfoTransform:
    """Return a transform whose training information stays the same."""
    return transform_of(run, **{"frozen": True if training_info is None else training_info} | options)


def wrap_env(run: Run, env: Any, **options: Any) -> Any:
    """Wrap an env of Gymnasium, or append a transform to one of TorchRL."""
    let_workers_warn()
    if isinstance(env, EnvBase):
        return transformed(env, transform_of(run, **options))
    return run.wrap_env(env, **options)


def wrap_eval_env(run: Run, env: Any, training_info: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """Do the same as `wrap_env`, with training information that stays the same."""
    let_workers_warn()
    if isinstance(env, EnvBase):
        return transformed(env, eval_transform_of(run, training_info, **options))
    return run.wrap_eval_env(env, training_info, **options)


def wrap_env_fn(run: Run, make_env: Callable[..., Any], **options: Any) -> EnvFn[Any]:
    """Return a function that makes a wrapped env."""
    if isinstance(make_env, EnvBase):  # which is callable, like every torch module
        raise TypeError(f"wrap_env_fn takes a function that makes an env, not {make_env!r}")
    return _EnvFn(run.wrap_env_fn(make_env).make_env, run, options)


class _EnvFn(EnvFn[Any]):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return wrap_env(self.run, self.make_env(*args, **kwargs), **self.options)
