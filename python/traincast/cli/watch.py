"""The command `traincast watch`."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

import traincast
from traincast.cli._arguments import AsJson, Name, Policy
from traincast.cli._channels import attach
from traincast.cli._json import print_json
from traincast.cli._tables import Column, console, fitted
from traincast.cli._text import age, printable
from traincast.cli._values import flatten, short_text
from traincast.errors import ChannelNotFoundError

__all__ = ["watch"]

_SLICE = 0.25  # seconds between two looks at a channel where nothing happens
_RATE_OVER = 3.0  # seconds over which the rate is averaged
_GLOW = 1.0  # seconds that a changed value is highlighted
_COLUMNS = [Column("KEY", least=12), Column("VALUE", least=12, keeps_start=True, flexible=True)]


def watch(
    name: Name,
    policy: Policy = 0,
    interval: Annotated[
        float, typer.Option(min=0.01, help="Shortest time between two updates, in seconds.")
    ] = 0.2,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Wait for the channel, and for the next one of its name."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a channel live: its rate, and what changed. Ends with Ctrl-C, or when the channel is closed.

    With --json it prints a line for each update, and one when the writer dies, returns or closes the channel.
    """
    with _attach(name, policy, follow) as reader:
        state = _State(name, policy)
        out = console()
        view: _View = _Json(state) if as_json else _Terminal(out) if out.is_terminal else _Lines()
        try:
            _follow(reader, state, view, interval, follow)
        finally:
            view.close()
        if not as_json:
            print(f"{name}, policy {policy}, was closed by its writer at version {state.version}.")


def _attach(name: str, policy: int, follow: bool) -> traincast.TrainingInfoReader:
    said = False
    while True:
        try:
            return attach(name, policy, _SLICE if follow else 0.0)
        except ChannelNotFoundError:
            if not follow:
                raise
        if not said:
            print(f"Waiting for {name}, policy {policy}.", file=sys.stderr)
            said = True


def _follow(
    reader: traincast.TrainingInfoReader, state: _State, view: _View, interval: float, follow: bool
) -> None:
    while True:
        started = time.monotonic()
        state.closed = reader.closed  # before reading: a snapshot that came just before it must be shown
        changed = state.update(reader, reader.read(), started)
        view.show(state, changed)
        if state.closed and not follow:
            return
        if not reader.wait(_SLICE) and reader.closed:
            time.sleep(_SLICE)  # wait() does not sleep on a closed channel
        time.sleep(max(0.0, interval - (time.monotonic() - started)))


@dataclass
class _State:
    """What is known about the channel."""

    name: str
    policy: int
    version: int = 0
    epoch: int = 0
    age: float = 0.0
    alive: bool = True
    closed: bool = False
    info: dict[Any, Any] = field(default_factory=dict)
    leaves: dict[str, str] = field(default_factory=dict)
    changed_at: dict[str, float] = field(default_factory=dict)
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def update(
        self, reader: traincast.TrainingInfoReader, info: dict[Any, Any], now: float
    ) -> list[str] | None:
        """Add what was read at the time `now`; return the keys that changed, None if nothing is new."""
        new = info is not self.info  # a reader returns the same object while nothing changed
        if new and reader.version <= self.version:
            self._seen.clear()  # a new channel of that name, whose versions begin at 1
        self.version, self.epoch, self.age = reader.version, reader.epoch, reader.age
        self.alive = not self.closed and reader.writer_alive
        self._seen.append((now, self.version))
        while now - self._seen[0][0] > _RATE_OVER:
            self._seen.popleft()
        if not new:
            return None
        self.info = info
        leaves = {printable(key): short_text(value) for key, value in flatten(info)}
        changed = [key for key, text in leaves.items() if self.leaves.get(key) != text]
        if self.leaves:
            self.changed_at.update(dict.fromkeys(changed, now))
        self.leaves = leaves
        return changed

    @property
    def rate(self) -> float:
        """Snapshots per second over the last 3 seconds."""
        (since, first), (until, last) = self._seen[0], self._seen[-1]
        return (last - first) / (until - since) if until > since else 0.0

    @property
    def writer(self) -> str:
        return "closed" if self.closed else "alive" if self.alive else "dead"


class _View(Protocol):
    def show(self, state: _State, changed: list[str] | None) -> None: ...
    def close(self) -> None: ...


class _Terminal:
    """A table that stays in its place."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live = Live(console=out, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def show(self, state: _State, changed: list[str] | None) -> None:
        style = {"alive": "green", "dead": "yellow", "closed": "dim"}[state.writer]
        head = Text.assemble(
            (state.name, "bold"),
            f" policy {state.policy}   version {state.version}   epoch {state.epoch}   ",
            (f"{state.rate:,.1f} publishes/s", "bold"),
            f"   {age(state.age)} old   writer ",
            (state.writer, style),
        )
        now = time.monotonic()
        room = max(self._out.height - 4, 1)
        rows = []
        for key, text in list(state.leaves.items())[:room]:
            glows = now - state.changed_at.get(key, -_GLOW) < _GLOW
            rows.append([Text(key, style="dim"), Text(text, style="bold yellow" if glows else "")])
        lines, _ = fitted(_COLUMNS, rows, self._out.width)
        more = len(state.leaves) - len(lines)
        if more > 0:
            lines.append(Text(f"and {more} more: use a higher terminal, or traincast get", style="dim"))
        self._live.update(Group(head, Text(), *lines), refresh=True)

    def close(self) -> None:
        self._live.stop()


class _Lines:
    """A line for each update, with what changed."""

    def __init__(self) -> None:
        self._writer = "alive"

    def show(self, state: _State, changed: list[str] | None) -> None:
        if changed is not None:
            values = "  ".join(f"{key}={state.leaves[key]}" for key in changed) or "nothing changed"
            head = f"{time.strftime('%H:%M:%S')}  version {state.version}  epoch {state.epoch}"
            print(f"{head}  {state.rate:.1f}/s  {values}", flush=True)
        if state.writer != self._writer:
            self._writer = state.writer
            if not state.closed:
                print(f"{time.strftime('%H:%M:%S')}  the writer is {state.writer}", flush=True)

    def close(self) -> None:
        pass


class _Json:
    """JSON Lines."""

    def __init__(self, state: _State) -> None:
        self._writer = state.writer

    def show(self, state: _State, changed: list[str] | None) -> None:
        if changed is None and state.writer == self._writer:
            return
        self._writer = state.writer
        print_json(
            {
                "name": state.name,
                "policy_id": state.policy,
                "version": state.version,
                "epoch": state.epoch,
                "age": state.age,
                "rate": round(state.rate, 3),
                "writer": state.writer,
                "changed": changed or [],
                "training_info": state.info,
            }
        )

    def close(self) -> None:
        pass
