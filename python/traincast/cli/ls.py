"""The command `traincast ls`."""

from __future__ import annotations

from typing import Annotated

import typer

from traincast import _core
from traincast.cli._arguments import AsJson
from traincast.cli._channels import Channel, Reader, living, look, slowest
from traincast.cli._describe import behind, life, who, writer
from traincast.cli._json import print_json
from traincast.cli._relays import parent_of
from traincast.cli._tables import Cell, Column, console, print_table
from traincast.cli._text import age, printable, size

__all__ = ["ls"]

_CHANNELS = [
    Column("NAME", least=12),
    Column("POLICY", right=True, spare=1),
    Column("WRITER"),
    Column("PID", right=True, spare=4),
    Column("VERSION", right=True, spare=3),
    Column("EPOCH", right=True, spare=6),
    Column("AGE", right=True),
    Column("SIZE", right=True, spare=5),
    Column("READERS", right=True, spare=2),
    Column("BEHIND", right=True),
]
_READERS = [
    Column("NAME", least=12),
    Column("POLICY", right=True),
    Column("PID", right=True),
    Column("READER"),
    Column("VERSION", right=True, spare=1),
    Column("BEHIND", right=True),
    Column("COMMAND", least=12, flexible=True),
]
_RELAYS = [
    Column("NAME", least=12),
    Column("POLICY", right=True, spare=1),
    Column("ROLE"),
    Column("STATE"),
    Column("VIA", least=12, flexible=True),
    Column("LEARNER", least=12),
    Column("PARENT", least=8, spare=5),
    Column("CHILDREN", right=True, spare=4),
    Column("LAG", right=True),
    Column("LEASE", right=True, spare=3),
    Column("COALESCED", right=True, spare=6),
    Column("DROPPED", right=True, spare=2),
]


def ls(
    readers: Annotated[
        bool, typer.Option("--readers", "-r", help="List each process that reads, with its command.")
    ] = False,
    relays: Annotated[
        bool, typer.Option("--relays", help="List each channel that a relay serves on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the channels: who writes, how new they are, how many read and how far behind.

    AGE is the time since the newest version was published. BEHIND is how much older the snapshot that a
    reader holds is than the newest one; a channel's line shows the slowest of its readers.

    With --relays: LEARNER is the process and machine of the learner, PARENT the machine whose relay this one
    receives from, with "(engine)" if it does so through the engine, CHILDREN how many relays receive from
    this one, LAG how long the newest snapshot took to get here, and LEASE how long the learner may still be
    silent before it counts as lost.
    """
    directory = " or ".join(_core.directories())
    channels = look(commands=readers or as_json)
    if as_json:
        print_json(channels, indent=2)
        return
    if not channels:
        print(f"No channels in {directory}.")
        return
    whole = [channel for channel in channels if channel["status"] != "broken"]
    out = console()
    if readers:
        rows = [_reader_row(channel, reader) for channel in whole for reader in channel["readers"]]
        if rows:
            print_table(out, _READERS, rows)
        else:
            print("Nobody reads.")
    elif relays:
        rows = [row for channel in whole if (row := _relay_row(channel)) is not None]
        if rows:
            print_table(out, _RELAYS, rows)
        else:
            print("No relay serves a channel here.")
    elif whole:
        print_table(out, _CHANNELS, [_row(channel) for channel in whole])
    for channel in channels:
        if channel["status"] == "broken":
            reason = printable(channel["reason"] or "")
            print(f"{channel['name']}, policy {channel['policy_id']}, is broken: {reason}")
    if _core.leftovers():
        print("`traincast clean` removes what dead writers left.")


def _row(channel: Channel) -> list[Cell]:
    return [
        channel["name"],
        str(channel["policy_id"]),
        writer(channel),
        str(channel["writer_pid"]) if channel["status"] == "live" else "-",
        str(channel["version"]),
        str(channel["epoch"]),
        age(channel["age"] or 0.0),
        size(channel["size"]),
        str(len(living(channel))),
        behind(slowest(channel)),
    ]


def _reader_row(channel: Channel, reader: Reader) -> list[Cell]:
    return [
        channel["name"],
        str(channel["policy_id"]),
        str(reader["pid"]),
        life(reader),
        str(reader["version"]),
        behind(reader["seconds_behind"]),
        who(reader),
    ]


def _relay_row(channel: Channel) -> list[Cell] | None:
    relay = channel["relay"]
    if relay is None:
        return None
    lag, lease = relay.get("lag"), relay.get("lease")
    return [
        channel["name"],
        str(channel["policy_id"]),
        printable(relay.get("role", "-")),
        printable(relay.get("state", "-")),
        printable(relay.get("via", "-")),
        printable(f"{channel['origin_pid']} on {channel['origin_host']}"),
        parent_of(relay),
        str(relay.get("children", 0)),
        "-" if lag is None else age(lag),
        "-" if lease is None else age(max(lease, 0.0)),
        str(relay.get("coalesced", 0)),
        str(relay.get("dropped", 0)),
    ]
