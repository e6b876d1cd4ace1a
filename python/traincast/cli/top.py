"""The command `traincast top`."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from traincast.cli._arguments import AsJson
from traincast.cli._failures import ShellError, sentence
from traincast.cli._json import print_json
from traincast.cli.live.monitor import Monitor

__all__ = ["top"]


def top(
    interval: Annotated[
        float, typer.Option("--interval", "-i", min=0.1, max=3600, help="Seconds between two updates.")
    ] = 2.0,
    pattern: Annotated[
        str, typer.Option("--filter", help="Show only channels with this in their name or state.")
    ] = "",
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, help="With --json: how many lines; 0: until Ctrl-C.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Show all channels live: rates, ages, sizes, training steps, who reads and how far behind.

    Enter shows the readers of a channel with their commands, and its newest values; s sorts,
    / filters, q quits.

    With --json it prints a line for each update instead, the first one after an interval.
    """
    if as_json:
        _print_snapshots(interval, pattern, count)
        return
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.__stderr__)):
        error = ShellError("top needs a terminal")
        error.add_note("use traincast ls, or traincast top --json")
        raise error
    if find_spec("textual") is None:
        error = ShellError("top needs textual")
        error.add_note("pip install 'traincast[cli]'")
        raise error

    from traincast.cli.live.app import LOOKALIKES, Top

    sys.__stderr__.reconfigure(errors=LOOKALIKES)  # type: ignore[union-attr]  # textual writes to it
    Top(interval, pattern).run()


def _print_snapshots(interval: float, pattern: str, count: int) -> None:
    monitor = Monitor()
    monitor.look()
    if monitor.error is not None:
        raise monitor.error
    printed = 0
    while not count or printed < count:
        time.sleep(interval)
        monitor.look(commands=True)
        print_json(_snapshot(monitor, pattern))
        printed += 1


def _snapshot(monitor: Monitor, pattern: str) -> dict[str, Any]:
    from traincast.cli.live.rows import Order, chosen

    return {
        "time": time.time(),
        "directories": monitor.directories,
        "error": None if monitor.error is None else sentence(monitor.error),
        "channels": [
            {**track.channel, "rate": track.rate, "steps": track.steps, "steps_history": list(track.history)}
            for track in chosen(monitor.tracks.values(), Order(), pattern)
        ],
    }
