"""`TrainingInfoWrapper`: gives a Gymnasium env the newest training information before it resets."""

from __future__ import annotations

import os
import warnings
from typing import Any, Literal, SupportsFloat

from traincast._core import TrainingInfoReader
from traincast._optional import missing
from traincast.errors import ChannelNotFoundError
from traincast.interfaces import TrainingInfoInterface
from traincast.unwrapping import find_all, own_copy

try:
    import gymnasium
    from gymnasium.core import ActType, ObsType
    from gymnasium.utils import RecordConstructorArgs
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.TrainingInfoWrapper") from None

__all__ = ["TrainingInfoWrapper"]

_DELIVER = ("reset", "step", "both")
_ON_MISSING = ("ignore", "warn", "raise")


class TrainingInfoWrapper(gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], RecordConstructorArgs):
    """Hands the newest training information to the env inside, before each reset.

    The env receives it through `set_training_info` of the first object, from outside in, that has it
    (`TrainingInfoInterface`, Sample Factory's class of that name, or just the method); an env without is left
    alone, and `training_info` of this wrapper holds the last dictionary. A version that was delivered is not
    delivered again, so a reset with nothing new costs next to nothing.

    Use it around each single env, inside the functions that a vector env is built from. The channel is opened
    at the first reset, in the process that the env lives in: the wrapper can be pickled, forked and spawned,
    the channel may appear later, and a channel that another one replaces is followed.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x.
        name: the channel; None: the environment variable `TRAINCAST_NAME` of the process that the env lives
            in.
        policy_id: which policy of the run, 0...65535.
        deliver: `"reset"`: before each reset. `"step"`: before each step, for envs that reset themselves
            inside `step`. `"both"`: before each of the two.
        on_missing: what to do while the channel does not exist: `"ignore"`; `"warn"` once; `"raise"`
            `ChannelNotFoundError`.

    Example:
        >>> env = traincast.TrainingInfoWrapper(gymnasium.make("CartPole-v1"), "my-run")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[ObsType, ActType],
        name: str | None = None,
        policy_id: int = 0,
        *,
        deliver: Literal["reset", "step", "both"] = "reset",
        on_missing: Literal["ignore", "warn", "raise"] = "ignore",
    ) -> None:
        if deliver not in _DELIVER:
            raise ValueError(f"deliver must be one of {_DELIVER}, not {deliver!r}")
        if on_missing not in _ON_MISSING:
            raise ValueError(f"on_missing must be one of {_ON_MISSING}, not {on_missing!r}")
        _check_env(env)
        RecordConstructorArgs.__init__(
            self, name=name, policy_id=policy_id, deliver=deliver, on_missing=on_missing
        )
        gymnasium.Wrapper.__init__(self, env)
        self.training_info: dict[str, Any] = {}
        self._name = name
        self._policy_id = policy_id
        self._on_missing = on_missing
        self._at_reset = deliver != "step"
        self._at_step = deliver != "reset"
        self._reader: TrainingInfoReader | None = None
        self._poll: Any = None  # reader.read_if_changed, looked up once
        self._targets: list[TrainingInfoInterface] = []
        self._targets_env: gymnasium.Env[Any, Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Deliver what is new, then reset the env."""
        if self._at_reset:
            poll = self._poll
            info = self._attach() if poll is None else poll()
            if info is not None:
                self._deliver(info)
        return self.env.reset(seed=seed, options=options)

    def step(self, action: ActType) -> tuple[ObsType, SupportsFloat, bool, bool, dict[str, Any]]:
        """Deliver what is new if `deliver` asks for it, then step the env."""
        if self._at_step:
            poll = self._poll
            info = self._attach() if poll is None else poll()
            if info is not None:
                self._deliver(info)
        return self.env.step(action)

    def close(self) -> None:
        """Let go of the channel, then close the env."""
        reader, self._reader, self._poll = self._reader, None, None
        if reader is not None:
            reader.close()
        self.env.close()

    def _attach(self) -> dict[str, Any] | None:
        name = (os.environ.get("TRAINCAST_NAME") or None) if self._name is None else self._name
        try:
            if name is None:
                raise ChannelNotFoundError(
                    "TrainingInfoWrapper has no channel name: pass name=, or set TRAINCAST_NAME"
                )
            self._reader = TrainingInfoReader(name, self._policy_id)
        except ChannelNotFoundError as error:
            if self._on_missing == "raise":
                raise
            if self._on_missing == "warn":
                self._on_missing = "ignore"
                warnings.warn(str(error), RuntimeWarning, stacklevel=3)
            return None
        self._poll = self._reader.read_if_changed
        return self._reader.read_if_changed()

    def _deliver(self, info: dict[str, Any]) -> None:
        self.training_info = info
        # Found once. Searched again while there is none: some envs build their inner env at the first reset.
        if not self._targets or self._targets_env is not self.env:
            self._targets = find_all(self.env, TrainingInfoInterface)
            self._targets_env = self.env
        if not self._targets:
            return
        others = self._targets[1:]
        copies = [own_copy(info) for _ in others]  # made before an env can change it
        self._targets[0].set_training_info(info)
        for target, copy in zip(others, copies, strict=True):
            target.set_training_info(copy)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open channel: the copy opens it itself, where it is used."""
        return self.__dict__ | {"_reader": None, "_poll": None, "_targets": [], "_targets_env": None}


TrainingInfoWrapper.__module__ = "traincast"  # users, pickles and env specs take it from the package


def _check_env(env: object) -> None:
    if isinstance(env, gymnasium.vector.VectorEnv):  # a gymnasium.Env in 0.29
        raise TypeError(
            f"TrainingInfoWrapper goes around each single env, not around the vector env "
            f"{type(env).__name__}: wrap inside the functions that it is built from"
        )
    if not isinstance(env, gymnasium.Env):
        kind = type(env)
        raise TypeError(
            f"TrainingInfoWrapper wraps a gymnasium.Env, not {kind.__module__}.{kind.__qualname__}; for "
            "other envs, PettingZoo's for example, keep a traincast.TrainingInfoReader and call "
            "traincast.set_training_info(env, reader.read()) before env.reset()"
        )
