"""`TrainingInfoWrapper`: delivers the newest training information to a Gymnasium env before it resets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, SupportsFloat

from traincast._optional import missing

try:
    import gymnasium
    from gymnasium.utils import RecordConstructorArgs

    from traincast._specs import A, O, WritableWrapper
except ModuleNotFoundError as error:
    raise missing(error, "gymnasium", "gym", "traincast.TrainingInfoWrapper") from None

from traincast._infos import is_finished, shown_in
from traincast.wrappers.autoreset import warn_of_autoreset
from traincast.wrappers.channel import HasChannel
from traincast.wrappers.feed import Leftover, OnMissing, OnUndelivered
from traincast.wrappers.feeding import Deliver, Feeding

__all__ = ["TrainingInfoWrapper"]


class TrainingInfoWrapper(WritableWrapper[O, A], Feeding, RecordConstructorArgs):
    """Delivers the newest training information to the env inside before each reset.

    The env receives it through `set_training_info` of the first object, from outside in, that has the method
    (a `TrainingInfoInterface`, Sample Factory's class of that name, or any other object). The wrapper's
    `training_info` holds the last dictionary. A version that was delivered is not delivered again, so a reset
    with nothing new costs next to nothing. If `set_training_info` raises an exception, the caller gets it;
    the version then counts as not delivered, and comes again.

    Put it around each single env, inside the functions that a vector env is built from, and outside of
    curricula. `run.wrap_env(env)` and `run.wrap_env_fn(make_env)` do so. It opens the channel at the first
    reset, in the process that the env lives in. So the wrapper can be pickled, forked and spawned, the
    channel may appear later, and the env follows a channel that replaces an earlier one.

    Args:
        env: a Gymnasium env, of Gymnasium 0.29 or 1.x.
        name: the `Run`, or the name of its channel; None: the environment variable `TRAINCAST_NAME` of the
            process that the env lives in.
        policy_id: the policy of the run, 0 to 65535; None: the run's, or 0.
        deliver: `"reset"`: before each reset. `"step"`: before each step, for envs that reset themselves
            inside `step`. `"both"`: before each reset and each step.
        on_missing: what to do at a reset while there is no channel with a living writer. `"warn"`: a
            `TraincastWarning` once per process and channel, after 5 seconds or 100 resets without anything.
            `"wait"` for up to `attach_timeout` seconds, then raise. `"raise"` `ChannelNotFoundError` at once.
            `"ignore"`: nothing.
        attach_timeout: seconds that `on_missing="wait"` waits.
        leftover: what to do with the last snapshot of a learner that died: `"ignore"` it, as if there were no
            channel, or `"use"` it, with a warning. None: `"use"` if a `Run` is given, whose name belongs to
            its learner alone, otherwise `"ignore"`. An env that was attached before goes on in either case.
        on_undelivered: `"warn"` once if nothing in the env takes training information, or `"ignore"`.
        copy_arrays: whether the env gets arrays that it may write to, rather than read-only views on memory
            that all readers of the process share.
        info_key: the key of `info`, at reset and at the end of an episode, under which to show the training
            information's `version` and `age` (in seconds), beside what a curriculum shows under the same key;
            None: do not show them.
        frozen: for evaluation. True keeps what is newest at the first reset; a dictionary is delivered
            instead of what the channel has.
        directory: where the channel is; None: the run's directory, `$TRAINCAST_DIR`, or the default.

    Raises: TypeError if the env is not a single Gymnasium env; ValueError if an option has none of these
        values; MissingKeyError if `frozen` lacks `approx_total_training_steps`.

    Example:
        >>> env = traincast.TrainingInfoWrapper(gymnasium.make("CartPole-v1"), "my-run")  # doctest: +SKIP
    """

    def __init__(
        self,
        env: gymnasium.Env[O, A],
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
        _check_env(env)
        arguments = self._set_up(
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
        RecordConstructorArgs.__init__(self, _disable_deepcopy=True, **arguments)
        gymnasium.Wrapper.__init__(self, env)
        if not self._at_step:
            warn_of_autoreset(self, env, 'Pass deliver="both", or put it around')

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[O, dict[str, Any]]:
        """Deliver what is new, then reset the env."""
        new = self._feed.poll() if self._at_reset else None
        if new is None and self._info_key is None:  # the usual case
            return self.env.reset(seed=seed, options=options)
        undelivered = new if new is not None and not self._deliver(new) else None
        observation, info = self.env.reset(seed=seed, options=options)
        self._after_reset(undelivered)
        if self._info_key is not None:
            info = shown_in(info, self._info_key, self._feed.facts())
        return observation, info

    def step(self, action: A) -> tuple[O, SupportsFloat, bool, bool, dict[str, Any]]:
        """Deliver what is new if `deliver` asks for it, then step the env."""
        if self._at_step or self._feed.waiting:
            self._before_step()
        if self._info_key is None:
            return self.env.step(action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        if is_finished(terminated, truncated):
            info = shown_in(info, self._info_key, self._feed.facts())
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Detach from the channel, then close the env."""
        self._feed.close()
        self.env.close()


TrainingInfoWrapper.__module__ = "traincast"  # where users, pickles and env specs find it


def _check_env(env: object) -> None:
    if isinstance(env, gymnasium.vector.VectorEnv):  # a gymnasium.Env in 0.29
        raise TypeError(
            f"TrainingInfoWrapper goes around each single env, not around the vector env "
            f"{type(env).__name__}: wrap inside the functions that it is built from; if there are none, use "
            "TrainingInfoVectorWrapper"
        )
    if not isinstance(env, gymnasium.Env):
        kind = type(env)
        raise TypeError(
            f"TrainingInfoWrapper wraps a gymnasium.Env, not {kind.__module__}.{kind.__qualname__}; "
            "PettingZoo's envs have TrainingInfoParallelWrapper and TrainingInfoAECWrapper, for others keep "
            "a traincast.TrainingInfoReader and call traincast.set_training_info(env, reader.read()) before "
            "env.reset()"
        )
