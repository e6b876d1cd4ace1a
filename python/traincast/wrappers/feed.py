"""`Feed`: attaches to a channel and delivers what is new, for the wrappers of all kinds of envs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from traincast._core import TrainingInfoReader
from traincast._evaluation import for_evaluation
from traincast._warnings import warn_once
from traincast.errors import ChannelNotFoundError, MissingKeyError, TraincastError
from traincast.interfaces import TrainingInfoInterface
from traincast.unwrapping import find_all, own_copy
from traincast.wrappers import missing, undelivered
from traincast.wrappers.channel import Channel

__all__ = ["STEPS_KEY", "Feed", "Leftover", "OnMissing", "OnUndelivered"]

STEPS_KEY = "approx_total_training_steps"

OnMissing = Literal["warn", "wait", "raise", "ignore"]
Leftover = Literal["use", "ignore"]
OnUndelivered = Literal["warn", "ignore"]

_EAGER = 100  # looks for a missing channel without a pause between them
_SPACING = 0.02  # seconds between two later looks, each of which takes tens of microseconds
_READ_ONLY = "These arrays are read-only: change array.copy(), or pass copy_arrays=True to the wrapper."


class Feed:
    """Attaches to a channel in the env's process, and delivers what is new to the interfaces in the env.

    `poll()` returns a dictionary if there is a new one. The attribute is replaced over time: at first `poll`
    looks for the channel; once that is found, it *is* the reader's `read_if_changed`.

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
            raise ValueError(f"attach_timeout must be a number of seconds from 0 up, not {attach_timeout}")
        if isinstance(frozen, Mapping) and STEPS_KEY not in frozen:
            raise MissingKeyError(f"the training information that is given (frozen=) lacks {STEPS_KEY!r}")
        if not isinstance(frozen, Mapping | bool):
            raise TypeError(f"frozen must be True, False or training information, not {frozen!r}")
        self._channel = channel
        self._on_missing = on_missing
        self._attach_timeout = attach_timeout
        self._leftover = leftover
        self._on_undelivered = on_undelivered
        self._copy_arrays = copy_arrays
        self._frozen = own_copy(for_evaluation(frozen)) if isinstance(frozen, Mapping) else frozen
        self._forget()

    def _forget(self) -> None:
        """Start again: nothing found, nothing delivered."""
        self._reader: TrainingInfoReader | None = None
        self._facts = (0.0, math.nan, 0.0)  # of frozen information: version, age, and when the age was taken
        self._targets: list[TrainingInfoInterface] = []
        self._targets_env: object = None
        self._looks = 0
        self._next_look = 0.0
        self._kept = self._frozen if isinstance(self._frozen, dict) else None
        self.waiting = False
        """Whether nothing has arrived, and the user has not been told yet."""
        self.looking = self._kept is None
        """Whether the channel has not been found yet."""
        self.poll = self._look if self.looking else self._give

    @property
    def channel(self) -> Channel:
        """The channel that it reads."""
        return self._channel

    @property
    def frozen(self) -> bool:
        """Whether what it hands on stays the same."""
        return self._frozen is not False

    # Finding the channel.

    def look_in_step(self) -> dict[str, Any] | None:
        """Do as `poll` while `looking`, but in a step, which does not count as a reset."""
        return self._look(reset=False)

    def _look(self, *, reset: bool = True) -> dict[str, Any] | None:
        patient = self._on_missing in ("warn", "ignore")
        if patient and self._looks >= _EAGER and time.monotonic() < self._next_look:
            self._absent(reset)
            return None
        self._looks += 1
        reader = self._attach()
        if reader is None:
            self._next_look = time.monotonic() + _SPACING
            self._absent(reset)
            return None
        self.looking = self.waiting = False
        missing.note_arrival(self._channel)
        self._reader = reader
        self.poll = reader.read_if_changed
        return self._freeze(reader) if self._frozen else reader.read_if_changed()

    def _attach(self) -> TrainingInfoReader | None:
        """Open the channel; None if it does not exist, after waiting for it if the user wants that."""
        deadline = time.monotonic() + (self._attach_timeout if self._on_missing == "wait" else 0.0)
        pause = 0.001
        while True:
            reader = self._open()
            left = deadline - time.monotonic()
            if reader is not None or left <= 0:
                return reader
            time.sleep(min(pause, left))
            pause = min(2 * pause, 0.05)

    def _open(self) -> TrainingInfoReader | None:
        """Open the channel if its writer lives, or if the user wants what a dead one has left."""
        channel = self._channel
        if channel.actual_name is None:
            return None
        try:
            reader = channel.open()
        except ChannelNotFoundError:
            return None
        if reader.served:
            return reader
        if self._leftover == "use":
            warn_once(
                ("leftover", channel.here),
                f"the learner of {channel} is dead: envs go on with what it left until a new one publishes",
            )
            return reader
        reader.close()
        return None

    def _absent(self, reset: bool) -> None:
        if self._on_missing == "warn":
            self.waiting = not missing.watch(self._channel).missed(reset=reset)
        elif self._on_missing != "ignore":
            waited = (
                f" Waited for {self._attach_timeout:g} s (attach_timeout)."
                if self._on_missing == "wait"
                else ""
            )
            raise ChannelNotFoundError(
                f"no training information from {self._channel}: {missing.advice(self._channel)}{waited}"
            )

    def wait_on(self) -> None:
        """Note a step of an env without training information: an episode may be long."""
        self.waiting = not missing.watch(self._channel).missed(reset=False)

    # Frozen training information.

    def _give(self) -> dict[str, Any]:
        self.poll = _nothing
        assert self._kept is not None
        return own_copy(self._kept, copy_arrays=self._copy_arrays)

    def _freeze(self, reader: TrainingInfoReader) -> dict[str, Any]:
        self._kept = self._frozen = for_evaluation(reader.read())  # for copies of the env, too
        self._facts = (float(reader.version), reader.age, time.monotonic())
        self._reader = None
        at_the_start = reader.version == 1
        reader.close()
        self.poll = self._give  # before the warning, which may be raised as an error
        if at_the_start:
            warn_once(
                ("frozen at the start", self._channel.here),
                f"the env keeps what {self._channel} had at the start of the training "
                f"({STEPS_KEY}={self._kept[STEPS_KEY]}). Reset it for the first time after something was "
                "published, or say what it shall see: run.wrap_eval_env(env, {...})",
            )
        return self._give()

    # Delivery.

    def deliver(self, env: object, info: dict[str, Any]) -> bool:
        """Deliver `info` to every interface in `env`; tell if there is any.

        An exception of an interface goes to the user. Then `info` counts as not delivered, and comes again.
        """
        try:
            # Searched once, and again while there is none: some envs build their inner env at a reset.
            if not self._targets or self._targets_env is not env:
                self._targets = find_all(env, TrainingInfoInterface)
                self._targets_env = env
            if not self._targets:
                return False
            # Copied before an env can change it.
            copies = [own_copy(info, copy_arrays=self._copy_arrays) for _ in self._targets[1:]]
            first = own_copy(info, copy_arrays=True) if self._copy_arrays else info
            for target, copy in zip(self._targets, [first, *copies], strict=True):
                target.set_training_info(copy)
        except BaseException as error:
            if isinstance(error, ValueError) and "read-only" in str(error):
                error.add_note(_READ_ONLY)
            self._deliver_again(info)
            raise
        return True

    def _deliver_again(self, info: dict[str, Any]) -> None:
        """Return `info`, or something newer, at the next poll."""
        if self._kept is not None:
            self.poll = self._give
            return
        afterwards = self.poll
        # The env may have changed its dictionary before it failed, so read another one.
        with suppress(TraincastError), self._channel.open() as reader:  # the channel may have ended
            info = reader.read()

        def again() -> dict[str, Any] | None:
            self.poll = afterwards
            newer = afterwards()
            return info if newer is None else newer

        self.poll = again

    def check_undelivered(self, env: object, info: dict[str, Any]) -> None:
        """After a reset at which nothing took `info`: deliver it at the next one if there is an interface.

        Otherwise warn, once per channel and kind of env.
        """
        if find_all(env, TrainingInfoInterface):
            self._deliver_again(info)
        elif self._on_undelivered == "warn":
            undelivered.warn(self._channel, env)

    def facts(self) -> dict[str, float]:
        """Return version and age, in seconds, of the information received last; 0 and nan before that."""
        if self._reader is not None:
            return {"version": float(self._reader.version), "age": self._reader.age}
        version, age, at = self._facts
        return {"version": version, "age": age + (time.monotonic() - at)}

    def close(self) -> None:
        """Detach from the channel; another poll would attach again."""
        reader = self._reader
        self._forget()
        if reader is not None:
            reader.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process: the copy attaches by itself."""
        return {name: value for name, value in self.__dict__.items() if name in _SETTINGS}

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
