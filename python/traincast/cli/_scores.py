"""Reads a scoreboard for the commands that show it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from traincast._core import ScoreCounters
from traincast.errors import TraincastError

__all__ = ["Process", "Row", "Scores", "look_at", "summary"]

_ROW = struct.Struct("<qqddqd")


@dataclass(frozen=True)
class Row:
    """The counters of a task, and the statistics that follow from them."""

    task: int
    episodes: int
    successes: int
    return_sum: float
    squared_return_sum: float
    length_sum: int
    last_score: float

    @property
    def success_rate(self) -> float:
        """The share of its episodes that succeeded, from 0 to 1."""
        return self.successes / self.episodes

    @property
    def mean_return(self) -> float:
        """The mean return of its episodes."""
        return self.return_sum / self.episodes

    @property
    def return_deviation(self) -> float:
        """The standard deviation of the returns of its episodes."""
        return math.sqrt(max(0.0, self.squared_return_sum / self.episodes - self.mean_return**2))

    @property
    def mean_length(self) -> float:
        """The mean length of its episodes, in steps."""
        return self.length_sum / self.episodes


@dataclass(frozen=True)
class Process:
    """The process that records in a block of the scoreboard, or the last one that did."""

    pid: int
    alive: bool
    episodes: int


@dataclass(frozen=True)
class Scores:
    """A scoreboard as it is now."""

    tasks: int
    rows: list[Row]
    """The tasks that have episodes."""
    processes: list[Process]


def look_at(name: str, policy: int) -> Scores:
    """Look at a channel's scoreboard.

    Raises:
        ChannelNotFoundError: it has none.
    """
    counters = ScoreCounters(name, policy)
    found = counters.collect()
    rows = [Row(task, *row) for task, row in enumerate(_ROW.iter_unpack(found)) if row[0]]
    processes = [Process(pid, alive, episodes) for alive, pid, episodes in counters.blocks()]
    return Scores(counters.tasks, rows, processes)


def summary(name: str, policy: int) -> str:
    """Return a few words on a channel's scoreboard; "" if it has none."""
    try:
        scores = look_at(name, policy)
    except (TraincastError, OSError):
        return ""
    episodes = sum(row.episodes for row in scores.rows)
    successes = sum(row.successes for row in scores.rows)
    rate = f", {successes / episodes:.0%} successful" if episodes else ""
    return f"{episodes} episodes of {len(scores.rows)}/{scores.tasks} tasks{rate}"
