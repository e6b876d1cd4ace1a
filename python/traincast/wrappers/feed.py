"""What the wrappers of all kinds of envs share: attaching to a channel, and handing on what is new."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from traincast._core import TrainingInfoReader
from traincast._warnings import warn_once
from traincast.errors import ChannelNotFoundError, MissingKeyError
from traincast.interfaces import TrainingInfoInterface
from traincast.unwrapping import everything_in, find_all, own_copy
from traincast.wrappers import missing
from traincast.wrappers.channel import Channel

__all__ = ["STEPS_KEY", "Feed", "Leftover", "OnMissing", "OnUndelivered"]

STEPS_KEY = "approx_total_training_steps"

OnMissing = Literal["warn", "wait", "raise", "ignore"]
Leftover = Literal["use", "ignore"]
OnUndelivered = Literal["warn", "ignore"]

_EAGER = 100  # looks at a missing channel before they are spaced
_SPACING = 0.02  # seconds between two of them then: each costs tens of microseconds


class Feed:
    """Attaches to a channel where the env lives, and hands what is new to the interfaces in the env.

    `poll()` returns a dictionary if there is a new one. It is replaced as the feed goes on: at first it looks
    for the channel; once that is found, it *is* the reader's `read_if_changed`.

    A copy (pickled, forked, spawned) attaches by itself.
    """

    poll: Callable[[], dict[str, Any] | None]

    def __init__(
        self,
        channel: Channel,
        *,
        on_missing: OnMissing,
        attach_timeout: float,
        leftover: Leftover,
        on_undelivered: OnUndelivered,
        copy_arrays: bool,
        frozen: bool | Mapping[str, Any],
    ) -> None:
        _check("on_missing", on_missing, ("warn", "wait", "raise", "ignore"))
        _check("leftover", leftover, ("use", "ignore"))
        _check("on_undelivered", on_undelivered, ("warn", "ignore"))
        if not attach_timeout >= 0:
            raise ValueError(f"attach_timeout must be seconds from 0 up, not {attach_timeout}")
        if isinstance(frozen, Mapping) and STEPS_KEY not in frozen:
            raise MissingKeyError(f"the training information that is given (frozen=) lacks {STEPS_KEY!r}")
        self._channel = channel
        self._on_missing = on_missing
        self._attach_timeout = attach_timeout
        self._leftover = leftover
        self._on_undelivered = on_undelivered
        self._copy_arrays = copy_arrays
        self._frozen = own_copy(frozen) if isinstance(frozen, Mapping) else bool(frozen)
        self._forget()

    def _forget(self) -> None:
        """Begin anew: nothing found, nothing delivered."""
        self._reader: TrainingInfoReader | None = None
        self._facts = (0.0, math.nan, 0.0)  # version, age, and when that was; of what is frozen
        self._targets: list[TrainingInfoInterface] = []
        self._targets_env: object = None
        self._looks = 0
        self._next_look = 0.0
        self._given: dict[str, Any] | None = None  # what has to be delivered again
        self.waiting = False
        """Whether nothing has arrived, and the user has not been told yet."""
        self.poll = self._give if isinstance(self._frozen, dict) else self._look

    # Finding the channel.

    def _look(self) -> dict[str, Any] | None:
        if self._looks >= _EAGER and time.monotonic() < self._next_look:
            self._absent(None)
            return None
        self._looks += 1
        try:
            reader = self._attach()
        except ChannelNotFoundError as error:
            self._next_look = time.monotonic() + _SPACING
            self._absent(error)
            return None
        self.waiting = False
        missing.watch(self._channel).arrived = True
        self._reader = reader
        self.poll = reader.read_if_changed
        if not self._frozen:
            return reader.read_if_changed()
        info = reader.read()
        self._freeze(reader, info)
        return info

    def _attach(self) -> TrainingInfoReader:
        if self._on_missing != "wait":
            return self._open()
        deadline = time.monotonic() + self._attach_timeout
        pause = 0.001
        while True:
            try:
                return self._open()
            except ChannelNotFoundError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    message = f"{error} Waited for {self._attach_timeout:g} s (attach_timeout)."
                    raise ChannelNotFoundError(message) from None
                time.sleep(min(pause, left))
                pause = min(2 * pause, 0.05)

    def _open(self) -> TrainingInfoReader:
        """Attach to a channel with a living writer; to another one if the user wants what it left."""
        channel = self._channel
        if channel.actual_name is None:
            raise ChannelNotFoundError(missing.advice(channel, dead=False))
        try:
            reader = channel.open()
        except ChannelNotFoundError:
            raise ChannelNotFoundError(missing.advice(channel, dead=False)) from None
        if reader.served:
            return reader
        if self._leftover == "use":
            warn_once(
                ("leftover", channel),
                f"the learner of {channel} is dead; envs go on with what it left, until a new one publishes",
            )
            return reader
        reader.close()
        raise ChannelNotFoundError(missing.advice(channel, dead=True))

    def _absent(self, error: ChannelNotFoundError | None) -> None:
        if self._on_missing == "warn":
            watch = missing.watch(self._channel)
            told = watch.missed(watch.why if error is None else str(error))
            self.waiting = not told
        elif self._on_missing != "ignore" and error is not None:
            raise ChannelNotFoundError(f"no training information from {self._channel}: {error}") from None

    def wait_on(self) -> None:
        """Note that an env without training information makes a step: an episode may be long."""
        watch = missing.watch(self._channel)
        if watch.arrived or watch.missed(watch.why, reset=False):
            self.waiting = False

    # What stays as it is.

    def _give(self) -> dict[str, Any]:
        self.poll = _nothing
        assert isinstance(self._frozen, dict)
        return own_copy(self._frozen, copy_arrays=self._copy_arrays)

    def _freeze(self, reader: TrainingInfoReader, info: dict[str, Any]) -> None:
        self._facts = (float(reader.version), reader.age, time.monotonic())
        self.poll = _nothing
        if reader.version == 1:
            warn_once(
                ("frozen at the start", self._channel),
                f"the env keeps the training information of {self._channel} as it was at the start of the "
                f"training ({STEPS_KEY}={info.get(STEPS_KEY)}): reset it for the first time after something "
                "was published, or give it what it shall see: run.wrap_eval_env(env, training_info={...})",
            )
        reader.close()
        self._reader = None

    # Handing it on.

    def deliver(self, env: object, info: dict[str, Any]) -> bool:
        """Hand `info` to every interface in `env`; tell if there is any.

        An exception of an interface is the user's, and `info` counts as not delivered: it comes again.
        """
        # Found once. Searched again while there is none: some envs build their inner env at the first reset.
        if not self._targets or self._targets_env is not env:
            self._targets = find_all(env, TrainingInfoInterface)
            self._targets_env = env
        if not self._targets:
            return False
        # Made before an env can change it.
        copies = [own_copy(info, copy_arrays=self._copy_arrays) for _ in self._targets[1:]]
        first = own_copy(info, copy_arrays=True) if self._copy_arrays else info
        try:
            for target, copy in zip(self._targets, [first, *copies], strict=True):
                target.set_training_info(copy)
        except BaseException:
            self._deliver_again(info)
            raise
        return True

    def _deliver_again(self, info: dict[str, Any]) -> None:
        """At the next poll. The env may have changed its dictionary before it failed: take another."""
        if isinstance(self._frozen, dict):
            self.poll = self._give
            return
        try:
            with self._channel.open() as reader:
                info = reader.read()
        except Exception:  # the channel has ended meanwhile, in whichever way
            pass
        self._given = info
        self._poll_afterwards = self.poll
        self.poll = self._give_again

    def _give_again(self) -> dict[str, Any] | None:
        self.poll = self._poll_afterwards
        given, self._given = self._given, None
        newer = self.poll()
        return given if newer is None else newer

    def check_undelivered(self, env: object, info: dict[str, Any]) -> None:
        """After a reset that delivered to nobody: deliver at the next one if there is an interface now.

        Else warn, once per channel and kind of env.
        """
        if find_all(env, TrainingInfoInterface):
            self._deliver_again(info)
            return
        if self._on_undelivered == "ignore":
            return
        looked_at = everything_in(env)
        names = [type(inner).__qualname__ for inner in looked_at]
        shown = " > ".join(names[:8]) + (" > ..." if len(names) > 8 else "")
        warn_once(
            ("undelivered", self._channel, *names[:8]),
            f"training information of {self._channel} reached nobody: nothing in {shown} has the method "
            f"set_training_info.{_misspelt(looked_at)} Give the env that method, put curricula inside of "
            'this wrapper, or pass on_undelivered="ignore" if you read its `training_info` yourself.',
        )

    def facts(self) -> dict[str, float]:
        """Return the version of what was received last, and its age in seconds; 0 and nan before that."""
        if self._reader is not None:
            return {"version": float(self._reader.version), "age": self._reader.age}
        version, age, at = self._facts
        return {"version": version, "age": age + (time.monotonic() - at)}

    def close(self) -> None:
        """Let go of the channel."""
        reader = self._reader
        self._forget()
        if reader is not None:
            reader.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process: the copy attaches by itself."""
        state = {name: value for name, value in self.__dict__.items() if name in _SETTINGS}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


_SETTINGS = frozenset(
    (
        "_channel",
        "_on_missing",
        "_attach_timeout",
        "_leftover",
        "_on_undelivered",
        "_copy_arrays",
        "_frozen",
    )
)


def _nothing() -> None:
    return None


def _check(argument: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {allowed}, not {value!r}")


def _misspelt(looked_at: list[object]) -> str:
    """Return a sentence on a method that has nearly the name of the interface's; empty if there is none."""
    for inner in looked_at:
        for owner in type(inner).__mro__:
            if owner.__module__.partition(".")[0] in ("builtins", "gymnasium"):
                continue
            lower = {name.lower(): name for name in vars(owner)}
            near = get_close_matches("set_training_info", lower, n=1, cutoff=0.75)
            if near:
                return f" {owner.__qualname__} has {lower[near[0]]!r}: did you mean that?"
    return ""
