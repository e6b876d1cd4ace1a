"""A channel that gives nothing: when its user is told, and in which words.

All envs of a process that read one channel are watched together: the user is told once, not once per env.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
from collections.abc import Iterator
from difflib import get_close_matches

from traincast._core import directories
from traincast._warnings import warn_once
from traincast.wrappers.channel import Channel

__all__ = ["Watch", "advice", "watch"]

RESETS = 100
SECONDS = 5.0

_CHANNEL_FILE = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*)@(\d+)")

_watches: dict[tuple[int, Channel], Watch] = {}


class Watch:
    """What the envs of this process have got from a channel so far: nothing, or something."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._resets = 0
        self._since = time.monotonic()
        self.why = ""
        self.arrived = False
        """Whether any of them has received something."""

    def missed(self, why: str, *, reset: bool = True) -> bool:
        """Note a look that found nothing, and warn if it is time; tell if that has been done."""
        self.why = why
        self._resets += reset
        if self._resets < RESETS and time.monotonic() - self._since < SECONDS:
            return False
        self.warn()
        return True

    def warn(self, end: str = "") -> None:
        """Warn, unless that has been done, or something has arrived."""
        if self.arrived:
            return
        resets = "1 reset" if self._resets == 1 else f"{self._resets} resets"
        seconds = time.monotonic() - self._since
        warn_once(
            ("missing", self._channel),
            f"{end}nothing has arrived from {self._channel} in {resets} and {seconds:.1f} s: {self.why} "
            'Until something arrives, envs are as they were built. on_missing="wait" or "raise" makes '
            'that an error, "ignore" is silent.',
        )


def watch(channel: Channel) -> Watch:
    """Return the watch of a channel in this process."""
    key = (os.getpid(), channel)
    found = _watches.get(key)
    if found is None:
        if not any(pid == key[0] for pid, _ in _watches):
            _say_at_exit()
        found = _watches.setdefault(key, Watch(channel))
    return found


def advice(channel: Channel, *, dead: bool) -> str:
    """Return what is wrong with a channel that cannot be attached to, and what to do."""
    name = channel.actual_name
    if name is None:
        return (
            "the wrapper has no channel name: pass a run or name=, or set TRAINCAST_NAME in the process "
            "that the env lives in."
        )
    if dead:
        return (
            "its learner is dead, or has ended without closing it. A new learner of that name serves the "
            f'env; leftover="use" takes what the dead one left (`traincast get {name}` shows it), and an '
            "evaluation is best given its training information (frozen=...)."
        )
    places = directories() if channel.directory is None else [channel.directory]
    there = sorted({found for place in places for found in _channels(place)})
    where = " or ".join(places)
    if not there:
        reason = f"there are no channels in {where}."
    else:
        near = _near_misses(name, channel.policy_id, there)
        others = ", ".join(f"{other!r}" for other, _ in there[:5]) + (", ..." if len(there) > 5 else "")
        reason = f"there is no such channel in {where}. " + (
            f"Did you mean {' or '.join(near)}?" if near else f"It has {others}."
        )
    return (
        f"{reason} Start the learner that publishes to it (traincast.Run(..., unique=False) or "
        "TrainingInfoWriter), with the same name, directory (TRAINCAST_DIR) and machine; if the training has "
        "ended, give the env its training information (frozen=...)."
    )


def _channels(directory: str) -> Iterator[tuple[str, int]]:
    try:
        files = os.listdir(directory)
    except OSError:  # not there yet, or not ours
        return
    for file in files:
        found = _CHANNEL_FILE.fullmatch(file)
        if found and not file.endswith((".lock", ".owner", ".roster", ".relay")):
            yield found[1], int(found[2])


def _near_misses(name: str, policy_id: int, there: list[tuple[str, int]]) -> list[str]:
    policies = [f"policy {policy}" for other, policy in there if other == name and policy != policy_id]
    if policies:
        return policies
    names = {other.lower(): other for other, _ in there}
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.6)
    begins = [other for other in names if other.startswith(f"{name.lower()}-") and other not in near]
    return [repr(names[other]) for other in [*near, *begins[:3]]]


def _say_at_exit() -> None:
    """A program that ends before it is time to warn has a last chance."""
    atexit.register(_say_what_never_arrived)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # its children leave without atexit
        util.Finalize(None, _say_what_never_arrived, exitpriority=0)


def _say_what_never_arrived() -> None:
    for (pid, _), found in list(_watches.items()):
        if pid == os.getpid():
            found.warn("the process ends, and ")
