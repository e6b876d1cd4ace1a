"""`TrainingInfoTransform`: delivers the newest training information to a TorchRL env before it resets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from typing import Any, Self

from tensordict import TensorDictBase
from torchrl.envs import AutoResetEnv, EnvBase, Transform, TransformedEnv

from traincast.integrations.torchrl import batched
from traincast.integrations.torchrl.workers import let_workers_warn
from traincast.wrappers.channel import HasChannel
from traincast.wrappers.feed import Leftover, OnMissing, OnUndelivered
from traincast.wrappers.feeding import Deliver, Feeding

__all__ = ["TrainingInfoTransform"]


class TrainingInfoTransform(Feeding, Transform):
    """Delivers the newest training information to the env before each reset.

    The first object in each branch of the env, from outside in, that has `set_training_info` receives it: a
    TorchRL env, a Gymnasium env inside of it, or another transform. Data and specs stay as they are.

    If it is put around a `ParallelEnv` or `SerialEnv` that has not been started, each of its envs gets a
    transform like this one, in the process where it lives. Append it last: a transform after it would reset
    before it.

    Args:
        name: the `Run`, or the name of its channel; None: the environment variable `TRAINCAST_NAME` of the
            process that the env lives in.
        deliver: as for `traincast.TrainingInfoWrapper`; None: `"both"` for an env that resets itself inside
            of its steps, otherwise `"reset"`.

    The other arguments are those of `traincast.TrainingInfoWrapper`.

    Example:
        >>> env = TransformedEnv(PendulumEnv(), TrainingInfoTransform("my-run"))  # doctest: +SKIP
    """

    def __init__(
        self,
        name: HasChannel | str | None = None,
        policy_id: int | None = None,
        *,
        deliver: Deliver | None = None,
        on_missing: OnMissing = "warn",
        attach_timeout: float = 60.0,
        leftover: Leftover | None = None,
        on_undelivered: OnUndelivered = "warn",
        copy_arrays: bool = False,
        frozen: bool | Mapping[str, Any] = False,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        Transform.__init__(self)
        self._set_up(
            name,
            policy_id,
            deliver=deliver or "reset",
            on_missing=on_missing,
            attach_timeout=attach_timeout,
            leftover=leftover,
            on_undelivered=on_undelivered,
            copy_arrays=copy_arrays,
            info_key=None,
            frozen=frozen,
            directory=directory,
        )
        self._asked_for = deliver
        self._undelivered: dict[str, Any] | None = None

    @property
    def env(self) -> EnvBase | None:
        """The env that the transform is in."""
        with suppress(ValueError):  # it is in a Compose that is in no env yet
            return self.container
        return None

    def set_container(self, container: Transform | EnvBase) -> None:
        """Note which env the transform is in; TorchRL calls this."""
        super().set_container(container)
        if self.env is None:
            return
        let_workers_warn()
        inner = _base_of(self.env)
        in_each_env = batched.hand_over(inner, self, self._feed.channel)
        deliver = self._asked_for or ("both" if _resets_itself(inner) else "reset")
        self._at_reset = deliver != "step" and not in_each_env
        self._at_step = deliver != "reset" and not in_each_env

    def _reset_env_preprocess(self, tensordict: TensorDictBase | None) -> TensorDictBase | None:
        """Deliver what is new. TorchRL calls this right before a reset, and for some envs twice."""
        self._undelivered = self._before_reset() or self._undelivered
        return tensordict

    def _reset(self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase) -> TensorDictBase:
        undelivered, self._undelivered = self._undelivered, None
        self._after_reset(undelivered)
        return tensordict_reset

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Deliver before a step, if `deliver` asks for it."""
        if self._at_step or self._feed.waiting:
            self._before_step()
        return tensordict

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Return the data as it is: in a replay buffer there is no env to deliver to."""
        return tensordict

    def clone(self) -> Self:
        """Return a transform with the same arguments for another env, to which it delivers by itself."""
        twin: Self = super().clone()
        twin._feed = copy(self._feed)
        twin.training_info = {}
        twin._undelivered = None
        return twin

    def close(self) -> None:
        """Detach from the channel."""
        self._feed.close()

    def __repr__(self) -> str:
        channel = self._feed._channel
        return f"{type(self).__name__}({channel.actual_name!r}, policy_id={channel.policy_id})"


def _base_of(env: EnvBase) -> EnvBase:
    """Return the env under the transforms, or an `AutoResetEnv`, although that is a `TransformedEnv`, too."""
    env = env.base_env
    while isinstance(env, TransformedEnv) and not isinstance(env, AutoResetEnv):
        env = env.base_env
    return env


def _resets_itself(env: EnvBase) -> bool:
    return isinstance(env, AutoResetEnv) or bool(env.__dict__.get("_torchrl_native_autoreset"))
