"""The columns, cells and order of the tables of `traincast top`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import humanize
from rich.text import Text

from traincast.cli._channels import Channel, Reader, living, slowest
from traincast.cli._describe import behind, life, who, writer
from traincast.cli._tables import Column
from traincast.cli._text import age, size
from traincast.cli.live.monitor import Track

__all__ = [
    "CHANNELS",
    "CURVE",
    "READERS",
    "VALUES",
    "Order",
    "channel_row",
    "chosen",
    "reader_row",
    "spark",
    "steps_text",
    "title",
]

TREND = 16  # characters of the curve in a channel's row
CURVE = "#58d1eb"
_BLOCKS = "▁▂▃▄▅▆▇█"

CHANNELS = [
    Column("CHANNEL", least=12),
    Column("WRITER"),
    Column("STEPS", right=True, spare=1),
    Column("RATE", right=True, spare=2),
    Column("AGE", right=True),
    Column("SIZE", right=True, spare=5),
    Column("READERS", right=True, spare=3),
    Column("BEHIND", right=True),
    Column("TREND", spare=4),
]
READERS = [
    Column("PID", right=True),
    Column("READER", spare=1),
    Column("BEHIND", right=True),
    Column("COMMAND", least=8, flexible=True),
]
VALUES = [
    Column("KEY", least=12),
    Column("VALUE", least=8, keeps_start=True, flexible=True),
]

_SORTED_BY: dict[str, Callable[[Track], Any]] = {
    "CHANNEL": lambda track: (track.channel["name"], track.channel["policy_id"]),
    "WRITER": lambda track: track.channel["status"],
    "STEPS": lambda track: track.steps,
    "RATE": lambda track: track.rate,
    "AGE": lambda track: track.channel["age"],
    "SIZE": lambda track: track.channel["size"],
    "READERS": lambda track: len(living(track.channel)),
    "BEHIND": lambda track: slowest(track.channel),
}


@dataclass(frozen=True)
class Order:
    """The column by which the channels are sorted, and the direction."""

    by: str = "CHANNEL"
    falling: bool = False

    def next(self) -> Order:
        """Return the order by the column to the right; numbers begin with the greatest."""
        titles = list(_SORTED_BY)
        return self.of(titles[(titles.index(self.by) + 1) % len(titles)])

    def of(self, title: str) -> Order:
        """Return the order by a column; the reversed order if it is sorted by that column already."""
        if title not in _SORTED_BY:
            return self
        if title == self.by:
            return self.reversed()
        return Order(title, falling=title not in ("CHANNEL", "WRITER"))

    def reversed(self) -> Order:
        """Return the reversed order."""
        return Order(self.by, not self.falling)

    @property
    def mark(self) -> str:
        """An arrow for the column's title."""
        return "▼" if self.falling else "▲"


def chosen(tracks: Iterable[Track], order: Order, pattern: str) -> list[Track]:
    """Return the channels whose name or status has each word of the pattern, sorted; unknown figures last."""
    words = pattern.lower().split()
    shown = [track for track in tracks if all(word in _searched(track.channel) for word in words)]
    figure = _SORTED_BY[order.by]
    known = sorted((t for t in shown if figure(t) is not None), key=figure, reverse=order.falling)
    return known + [track for track in shown if figure(track) is None]


def _searched(channel: Channel) -> str:
    return f"{title(channel)} {writer(channel).plain}".lower()


def title(channel: Channel) -> str:
    """Return the name of a channel, with its policy unless that is 0, as in the file's name."""
    policy = channel["policy_id"]
    return f"{channel['name']}@{policy}" if policy else channel["name"]


def channel_row(track: Track) -> list[Text]:
    """Return the cells of a channel, as `CHANNELS` names them."""
    channel = track.channel
    broken = channel["status"] == "broken"
    return [
        Text(title(channel), style="bold"),
        writer(channel),
        Text("-" if track.steps is None else steps_text(track.steps)),
        Text("-" if broken or track.rate is None else f"{track.rate:,.1f}/s"),
        Text("-" if channel["age"] is None else age(channel["age"])),
        Text(size(channel["size"])),
        Text("-" if broken else str(len(living(channel)))),
        Text(behind(slowest(channel)), style=_urgency(slowest(channel))),
        Text(spark(track.history, TREND).ljust(TREND), style=CURVE),
    ]


def reader_row(reader: Reader) -> list[Text]:
    """Return the cells of a reader, as `READERS` names them."""
    seconds = reader["seconds_behind"]
    return [
        Text(str(reader["pid"])),
        life(reader),
        Text(behind(seconds), style=_urgency(seconds)),
        Text(who(reader)),
    ]


def _urgency(seconds: float | None) -> str:
    return "" if seconds is None or seconds < 10 else "yellow" if seconds < 60 else "red"


def steps_text(steps: float) -> str:
    """Return a number of steps in few characters: `900`, `12.3k`, `4.10M`."""
    if abs(steps) < 1000:
        return f"{steps:g}" if steps == int(steps) else f"{steps:.3g}"
    return humanize.metric(steps, precision=3).replace(" ", "")


def spark(values: Sequence[float] | Iterable[float], width: int) -> str:
    """Return the latest values as a curve of block characters, scaled to their range."""
    shown = list(values)[-width:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return _BLOCKS[0] * len(shown)
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((value - low) / span * top)] for value in shown)
