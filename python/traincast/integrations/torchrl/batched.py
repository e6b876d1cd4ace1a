"""Batched envs: a transform of a batched env is put into each of its envs."""

from __future__ import annotations

from typing import Any

from torchrl.data.utils import CloudpickleWrapper
from torchrl.envs import EnvBase, EnvCreator, Transform, TransformedEnv
from torchrl.envs.batched_envs import BatchedEnvBase

from traincast.wrappers.channel import Channel

__all__ = ["hand_over", "transformed"]


def hand_over(env: EnvBase, transform: Transform, channel: Channel) -> bool:
    """Have a batched env make its envs with a transform like this one, of `channel`; tell if it does.

    It does not if it has made them already: then they may live in other processes, which cannot be reached,
    and the transform warns at the first reset.
    """
    if not isinstance(env, BatchedEnvBase):
        return False
    if all(isinstance(make, _MakeTransformed) and make.channel == channel for make in env.create_env_fn):
        return True
    if not env.is_closed:
        return False
    env.create_env_fn = [_MakeTransformed((make, transform.clone(), channel)) for make in env.create_env_fn]
    return True


def transformed(env: EnvBase, transform: Transform) -> TransformedEnv:
    """Put the transform behind those that the env has."""
    # A TransformedEnv around another TransformedEnv would unwrap that one, and warn.
    return env.append_transform(transform) if type(env) is TransformedEnv else TransformedEnv(env, transform)


class _MakeTransformed(CloudpickleWrapper):
    """Makes the env of a worker. TorchRL sends a `CloudpickleWrapper` as it is."""

    def __init__(self, parts: tuple[Any, Transform, Channel]) -> None:
        make, self._transform, self.channel = parts
        # An EnvCreator has tensors that workers share, for example of a VecNorm: cloudpickle would copy them.
        self._make = make if isinstance(make, EnvCreator) else CloudpickleWrapper(make)

    def __call__(self, *args: Any, **kwargs: Any) -> TransformedEnv:
        return transformed(self._make(*args, **kwargs), self._transform.clone())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
