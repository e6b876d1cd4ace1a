"""`Feeding`: the part of the wrappers that is the same for all kinds of envs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import Any, Literal

from traincast._as_read import as_read
from traincast._json import read_argument
from traincast.wrappers.channel import HasChannel, channel_of
from traincast.wrappers.feed import Feed, Leftover, OnMissing, OnUndelivered

__all__ = ["Deliver", "Feeding"]

Deliver = Literal["reset", "step", "both"]

_DELIVER = ("reset", "step", "both")
_ABSENT = object()


class Feeding:
    """Mixin of the wrappers: a feed, and the moments at which it is polled."""

    env: Any
    training_info: dict[str, Any]
    """The training information that was delivered last; `{}` until there is one."""

    def _set_up(
        self,
        run: HasChannel | str | None,
        policy_id: int | None,
        *,
        deliver: Deliver,
        on_missing: OnMissing,
        attach_timeout: float,
        leftover: Leftover | None,
        on_undelivered: OnUndelivered,
        copy_arrays: bool,
        info_key: str | None,
        frozen: bool | Mapping[str, Any],
        directory: str | os.PathLike[str] | None,
    ) -> dict[str, Any]:
        """Check the arguments of a constructor; return those from which a spec makes the same wrapper.

        Arguments that have their default are left out, so that specs stay short.
        """
        if deliver not in _DELIVER:
            raise ValueError(f"deliver must be one of {_DELIVER}, not {deliver!r}")
        frozen = read_argument(frozen)
        if isinstance(frozen, Mapping):
            frozen = as_read(frozen)  # an env that is evaluated sees what those that train would see
        channel = channel_of(run, policy_id, directory)
        if leftover is None:
            leftover = "use" if isinstance(run, HasChannel) else "ignore"
        self._feed = Feed(
            channel,
            on_missing=on_missing,
            attach_timeout=attach_timeout,
            leftover=leftover,
            on_undelivered=on_undelivered,
            copy_arrays=copy_arrays,
            frozen=frozen,
        )
        self.training_info = {}
        self._info_key = info_key
        self._at_reset = deliver != "step"
        self._at_step = deliver != "reset"
        arguments = {
            "name": channel.name,
            "policy_id": channel.policy_id or None,
            "deliver": deliver,
            "on_missing": on_missing,
            "attach_timeout": attach_timeout,
            "leftover": None if leftover == "ignore" else leftover,
            "on_undelivered": on_undelivered,
            "copy_arrays": copy_arrays,
            "info_key": info_key,
            "frozen": frozen,
            "directory": channel.directory,
        }
        defaults = _defaults(type(self).__init__)  # a subclass may have its own
        return {name: value for name, value in arguments.items() if value != defaults.get(name, _ABSENT)}

    def _deliver(self, info: dict[str, Any]) -> bool:
        """Deliver what is new; tell if anything in the env takes it."""
        taken = self._feed.deliver(self.env, info)
        self.training_info = info
        return taken

    def _before_reset(self) -> dict[str, Any] | None:
        """Deliver what is new, if it is time; return what nothing has taken, for `_after_reset`."""
        new = self._feed.poll() if self._at_reset else None
        return new if new is not None and not self._deliver(new) else None

    def _after_reset(self, undelivered: dict[str, Any] | None) -> None:
        if undelivered is not None:
            self._feed.check_undelivered(self.env, undelivered)

    def _before_step(self) -> None:
        if self._at_step:
            feed = self._feed
            new = feed.look_in_step() if feed.looking else feed.poll()
            if new is not None and not self._deliver(new):
                self._feed.check_undelivered(self.env, new)
        elif self._feed.waiting:
            self._feed.wait_on()


@cache
def _defaults(constructor: Callable[..., None]) -> dict[str, Any]:
    """Return the arguments of a wrapper's constructor with their defaults."""
    return {name: of.default for name, of in signature(constructor).parameters.items()}
