"""Warns when nothing arrives from a channel: when to warn, and what to say.

All envs of a process that read one channel are watched together: the user is told once, not once per env.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
from contextlib import suppress
from difflib import get_close_matches

from traincast._core import directories
from traincast._names import base_of, is_unique
from traincast._warnings import warn_once
from traincast.errors import TraincastError, TraincastWarning
from traincast.wrappers.channel import Channel

__all__ = ["Watch", "advice", "note_arrival", "watch"]

RESETS = 100
SECONDS = 5.0

_CHANNEL_FILE = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]*)@(\d+)")

_watches: dict[tuple[int, Channel], Watch] = {}


class Watch:
    """Counts how long the envs of this process have received nothing from a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._told = False
        self._there: list[tuple[str, int]] = []
        self.arrived()

    def arrived(self) -> None:
        """Note that an env has received something, and start again: later envs may receive nothing."""
        self._looked = False
        self._resets = 0
        self._since = self._checked = time.monotonic()

    def missed(self, *, reset: bool) -> bool:
        """Note a reset or a step without information; warn if it is time, and tell if the user was warned."""
        if self._told:
            return True
        now = time.monotonic()
        if not self._looked:
            self._since = self._checked = now
            self._there = _channels_of(self._channel)  # noted now: they may be gone when the process ends
        self._looked = True
        self._resets += reset
        if self._resets < RESETS and now - self._checked < SECONDS:
            return False
        if _is_served(self._channel):  # it has just appeared, and the next reset reads it
            self._checked = now
            return False
        self.warn()
        return True

    def warn(self, end: str = "") -> None:
        """Warn, unless this was done before, or something has arrived."""
        if self._told or not self._looked:
            return
        self._told = True
        seconds = time.monotonic() - self._since
        resets = f"{self._resets} reset{'' if self._resets == 1 else 's'}"
        warn_once(
            ("missing", self._channel),
            f"{end}nothing has arrived from {self._channel} in {resets} and {seconds:.1f} s: "
            f"{advice(self._channel, self._there)} Envs stay as they were built; if that is meant: "
            'on_missing="ignore".',
        )


def watch(channel: Channel) -> Watch:
    """Return the watch of a channel in this process."""
    channel = channel.here
    key = (os.getpid(), channel)
    found = _watches.get(key)
    if found is None:
        if not any(pid == key[0] for pid, _ in _watches):
            _say_at_exit()
        found = _watches.setdefault(key, Watch(channel))
    return found


def note_arrival(channel: Channel) -> None:
    """Note that something has arrived from a channel."""
    watch(channel).arrived()
    nameless = _watches.get((os.getpid(), channel))
    if nameless is not None:  # TRAINCAST_NAME was set later
        nameless.arrived()


def advice(channel: Channel, before: list[tuple[str, int]] | None = None) -> str:
    """Return the sentence that says why nothing arrives from a channel, and what to do.

    `before`: the channels that existed at the first look.
    """
    name = channel.actual_name
    if name is None:
        return channel.why_nameless
    where = " or ".join(_places_of(channel))
    there = _channels_of(channel)
    if (name, channel.policy_id) in there:
        if _is_served(channel):
            return "it has appeared since."
        if _has_writer(channel):
            return "a new learner has taken it over, and has published nothing yet."
        return (
            'its learner is dead. Start it again, or take what it left: leftover="use"; for an evaluation: '
            "frozen={...}."
        )
    near = _near_misses(name, channel.policy_id, sorted({*there, *(before or ())}))
    if near:
        return f"there is no such channel in {where}. Did you mean {' or '.join(near)}?"
    if is_unique(name):
        return (
            f"the run has ended, or is not in {where} of this machine. For an evaluation: "
            "run.wrap_eval_env(env, {...}), or frozen={...}."
        )
    names = [repr(other) for other in dict(there)]
    others = f"only {', '.join(names[:5])}{', ...' * (len(names) > 5)}" if names else "no channels"
    return (
        f"{where} has {others}. Start the learner with this name and directory (TRAINCAST_DIR); for an "
        "evaluation: frozen={...}."
    )


def _is_served(channel: Channel) -> bool:
    if channel.actual_name is not None:
        with suppress(TraincastError), channel.open() as reader:
            return reader.served
    return False


def _has_writer(channel: Channel) -> bool:
    with suppress(TraincastError), channel.open() as reader:
        return reader.writer_alive
    return False


def _places_of(channel: Channel) -> list[str]:
    return directories() if channel.directory is None else [channel.directory]


def _channels_of(channel: Channel) -> list[tuple[str, int]]:
    """Return name and policy of each channel in the directories where this one would be."""
    files: list[str] = []
    for place in _places_of(channel):
        with suppress(OSError):  # it does not exist yet, or belongs to somebody else
            files += os.listdir(place)
    return sorted((found[1], int(found[2])) for found in map(_CHANNEL_FILE.fullmatch, files) if found)


def _near_misses(name: str, policy_id: int, there: list[tuple[str, int]]) -> list[str]:
    policies = [f"policy {policy}" for other, policy in there if other == name and policy != policy_id]
    if policies:
        return policies[:3]
    if is_unique(name):  # such a name is not typed, and so not misspelt
        return []
    known = {spelling.lower(): other for other, _ in there for spelling in (base_of(other), other)}
    spellings = get_close_matches(name.lower(), known, n=6, cutoff=0.6)
    return [repr(other) for other in dict.fromkeys(known[spelling] for spelling in spellings)][:3]


def _say_at_exit() -> None:
    """Warn at exit, too: a program may end before it is time to warn."""
    atexit.register(_say_what_never_arrived)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # its child processes exit without atexit
        util.Finalize(None, _say_what_never_arrived, exitpriority=0)


def _say_what_never_arrived() -> None:
    for (pid, _), found in list(_watches.items()):
        if pid == os.getpid():
            try:
                found.warn("the process ends, and ")
            except TraincastWarning as warning:  # warnings are errors; nobody could catch this one
                print(f"TraincastWarning: {warning}", file=sys.stderr)
            except TraincastError:  # about the directory: each reset has raised it already
                pass
