"""The command `traincast ls`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from traincast import _core
from traincast.cli._output import age, console, print_table, size

__all__ = ["ls"]

_STYLES = {"live": "green", "dead": "yellow", "closed": "dim", "broken": "red"}
_READERS_SHOWN = 8


def ls(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    readers: Annotated[
        bool, typer.Option("--readers", "-r", help="A line for each process that reads.")
    ] = False,
) -> None:
    """List the channels: who writes, how new they are, who reads and how far behind."""
    directory = _core.directory()
    channels = sorted(_core.list_channels(), key=lambda c: (c["name"], c["policy_id"]))
    if as_json:
        print(json.dumps(channels, indent=2))
        return
    if not channels:
        print(f"No channels in {directory}.")
        return
    out = console()
    broken = [channel for channel in channels if channel["status"] == "broken"]
    whole = [channel for channel in channels if channel["status"] != "broken"]
    if readers:
        _print_readers(whole)
    elif whole:
        columns = ["NAME", "POLICY", "WRITER", "VERSION", "EPOCH", "AGE", "SIZE", "READERS", "BEHIND"]
        print_table(out, columns, [_row(channel) for channel in whole])
    for channel in broken:
        print(f"{channel['name']}, policy {channel['policy_id']}, is broken: {channel['reason']}")
    if any(channel["status"] in ("dead", "broken") for channel in channels):
        print("`traincast clean` removes what dead writers left.")


def _row(channel: dict[str, Any]) -> list[str | Text]:
    living = [reader for reader in channel["readers"] if reader["alive"]]
    return [
        channel["name"],
        str(channel["policy_id"]),
        _writer(channel),
        str(channel["version"]),
        str(channel["epoch"]),
        age(channel["age"]),
        size(channel["size"]),
        str(len(living)),
        _lags([reader["behind"] for reader in living]),
    ]


def _writer(channel: dict[str, Any]) -> Text:
    status = channel["status"]
    text = f"alive, pid {channel['writer_pid']}" if status == "live" else status
    return Text(text, style=_STYLES[status])


def _reader(reader: dict[str, Any]) -> Text:
    status = "live" if reader["alive"] else "dead"
    text = "alive" if reader["alive"] else "dead"
    return Text(f"{text}, in another container" if reader["elsewhere"] else text, style=_STYLES[status])


def _lags(lags: Sequence[int]) -> str:
    """Return how many versions each reader is behind, or the range if there are many readers."""
    if len(lags) <= _READERS_SHOWN:
        return " ".join(map(str, sorted(lags)))
    return f"{min(lags)} to {max(lags)}"


def _print_readers(channels: Sequence[dict[str, Any]]) -> None:
    rows: list[list[str | Text]] = [
        [
            channel["name"],
            str(channel["policy_id"]),
            str(reader["pid"]),
            _reader(reader),
            str(reader["version"]),
            str(reader["behind"]),
        ]
        for channel in channels
        for reader in channel["readers"]
    ]
    if rows:
        print_table(console(), ["NAME", "POLICY", "PID", "READER", "VERSION", "BEHIND"], rows)
    else:
        print("Nobody reads.")
