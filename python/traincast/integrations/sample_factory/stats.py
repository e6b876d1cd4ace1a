"""What curricula show in `info`, among the episode statistics that Sample Factory logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["log_curriculum"]

_SHOWN = "curriculum"  # where the curricula of traincast show what they do, unless told otherwise
_LOGGED = "episode_extra_stats"  # what Sample Factory averages and logs, of the last info of an episode


def log_curriculum(infos: Any) -> None:
    """Copy the numbers of a curriculum to where Sample Factory looks for them: `curriculum/level`, say.

    `infos` is the info of a step: a dictionary, or one for each agent.
    """
    for info in (infos,) if isinstance(infos, dict) else infos:
        numbers = info.get(_SHOWN)
        if isinstance(numbers, Mapping):
            stats = {f"{_SHOWN}/{name}": number for name, number in numbers.items()}
            info[_LOGGED] = {**info.get(_LOGGED, {}), **stats}
