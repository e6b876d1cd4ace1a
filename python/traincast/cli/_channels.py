"""The channels of this machine as the commands see them, and attaching to one by its name."""

from __future__ import annotations

import json
from typing import Any, TypedDict, cast

import traincast
from traincast import _core
from traincast.cli._failures import did_you_mean
from traincast.errors import ChannelNotFoundError

__all__ = ["Channel", "Reader", "Relay", "attach", "command_line", "living", "look", "slowest"]

_UNKNOWN_IF_BROKEN = ("version", "epoch", "term", "generation", "age", "created", "capacity", "writer_pid")


class Reader(TypedDict):
    """A process that reads."""

    pid: int
    alive: bool
    elsewhere: bool
    """Whether it runs in another container, to which its pid belongs."""
    version: int
    behind: int
    seconds_behind: float | None
    command: str | None
    """Its command line; `None` if it has ended, runs elsewhere, or belongs to somebody else."""


class Relay(TypedDict, total=False):
    """The status of the relay that serves a channel on this machine, as it reports it."""

    via: str
    """The engine, and where it is."""
    host: str
    pid: int
    role: str
    state: str
    since: float
    node: str
    """Which machine and directory."""
    parent: list[Any] | None
    """Machine and node of the relay that it receives from."""
    direct: bool | None
    """Whether it does so without the engine; None on the learner's node, and with Ray."""
    children: int
    """How many relays receive from it."""
    serves: list[Any] | None
    """Address and port to which these connect."""
    size: int
    """Bytes of the newest snapshot, at a source."""
    origin: list[Any] | None
    """Host and process id of the learner whose snapshots it carries."""
    lag: float | None
    lease: float | None
    """Seconds until the learner counts as lost; negative once it does."""
    published: int
    coalesced: int
    outdated: int
    dropped: int
    refused: list[Any] | None
    connected: bool
    fault: str | None


class Channel(TypedDict):
    """A channel; for a broken one, the numbers that its file should hold are `None`."""

    name: str
    policy_id: int
    status: str
    reason: str | None
    version: int | None
    epoch: int | None
    term: int | None
    link: str
    origin_host: str
    origin_pid: int
    relay: Relay | None
    generation: int | None
    age: float | None
    created: float | None
    capacity: int | None
    size: int
    writer_pid: int | None
    readers: list[Reader]
    files: list[str]


def look(commands: bool = False) -> list[Channel]:
    """Return all channels, by name and policy.

    Args:
        commands: whether to look up the readers' command lines, which reads a file in /proc for each.

    Raises:
        InsecureDirectoryError: the channel directory cannot be trusted.
        OSError: it cannot be listed.
    """
    channels = sorted(_core.list_channels(), key=lambda c: (c["name"], c["policy_id"]))
    for channel in channels:
        if channel["status"] == "broken":
            channel.update(dict.fromkeys(_UNKNOWN_IF_BROKEN), origin_pid=None)
        channel["relay"] = _relay(channel["relay"])
        for reader in channel["readers"]:
            known = commands and reader["alive"] and not reader["elsewhere"]
            reader["command"] = command_line(reader["pid"]) if known else None
    return cast(list[Channel], channels)


def _relay(said: str | None) -> Relay | None:
    """Parse the status of a relay; None if there is none, or while it is being written."""
    try:
        relay = json.loads(said or "null")
    except ValueError:
        return None
    if not isinstance(relay, dict):
        return None
    relay.pop("relays", None)  # the status of the other relays, which `traincast relay status` shows
    return cast(Relay, relay)


def command_line(pid: int) -> str | None:
    """Return a process's command line; `None` if it cannot be read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            raw = file.read()
    except OSError:
        return None
    return raw.replace(b"\0", b" ").decode("utf-8", "backslashreplace").strip() or None


def living(channel: Channel) -> list[Reader]:
    """Return the readers that are alive."""
    return [reader for reader in channel["readers"] if reader["alive"]]


def slowest(channel: Channel) -> float | None:
    """Return how many seconds the slowest living reader is behind; `None` if none has read."""
    return max(
        (r["seconds_behind"] for r in living(channel) if r["seconds_behind"] is not None), default=None
    )


def attach(name: str, policy: int, timeout: float = 0.0) -> traincast.TrainingInfoReader:
    """Return a reader of a channel.

    Raises:
        ChannelNotFoundError: there is no such channel; a note names what the user may have meant.
    """
    try:
        return traincast.TrainingInfoReader(name, policy, attach_timeout=timeout)
    except ChannelNotFoundError as error:
        if not timeout:
            known = [(channel["name"], channel["policy_id"]) for channel in look()]
            policies = [str(its) for its_name, its in known if its_name == name]
            hint = f"did you mean --policy {' or '.join(policies)}?" if policies else None
            if hint := hint or did_you_mean(name, [name for name, _ in known]):
                error.add_note(hint)
            elif not known:
                error.add_note("there are no channels at all")
        raise
