"""Statistics of an episode: the number that says how well it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Episode", "Statistic", "statistic_of"]


@dataclass(frozen=True)
class Episode:
    """A finished episode, from which a statistic is computed.

    `total_reward` is the undiscounted return, `length` the number of steps, `info` that of the last step.
    """

    total_reward: float
    length: int
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


Statistic = str | tuple[str, ...] | Callable[[Episode], float]


def statistic_of(episode: Episode, statistic: Statistic) -> float:
    """Return the statistic of an episode.

    `"return"` and `"length"` are those of the episode. Any other string is a key of the last `info`, and a
    tuple is a path in it: `("episode", "r")`, or `("return",)` for a key of that name. A callable is called
    with the `Episode`.

    Raises:
        KeyError: the last `info` has no such key.
    """
    if callable(statistic):
        return float(statistic(episode))
    if statistic == "return":
        return episode.total_reward
    if statistic == "length":
        return float(episode.length)
    value: Any = episode.info
    for key in (statistic,) if isinstance(statistic, str) else statistic:
        if not isinstance(value, Mapping) or key not in value:
            there = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
            raise KeyError(f"the last info of the episode has no {statistic!r}: no {key!r} in {there}")
        value = value[key]
    return float(value)
