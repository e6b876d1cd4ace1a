"""What envs have counted on a scoreboard, for the commands that show it."""

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
    """A task, from its sums."""

    task: int
    episodes: int
    successes: int
    return_sum: float
    squared_return_sum: float
    length_sum: int
    last_score: float

    @property
    def success_rate(self) -> float:
        """Between 0 and 1."""
        return self.successes / self.episodes

    @property
    def mean_return(self) -> float:
        """Of its episodes."""
        return self.return_sum / self.episodes

    @property
    def return_deviation(self) -> float:
        """The standard deviation of the returns."""
        return math.sqrt(max(0.0, self.squared_return_sum / self.episodes - self.mean_return**2))

    @property
    def mean_length(self) -> float:
        """Steps of an episode."""
        return self.length_sum / self.episodes


@dataclass(frozen=True)
class Process:
    """A process that records, or the last one that had its block."""

    pid: int
    alive: bool
    episodes: int


@dataclass(frozen=True)
class Scores:
    """A scoreboard as it is now."""

    tasks: int
    rows: list[Row]
    """Of the tasks that have episodes."""
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
