"""What an evaluation sees of the training information."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SCOREBOARD", "for_evaluation"]

SCOREBOARD = "scoreboard"
"""The key under which an entry of the training information names the scoreboard of its envs."""


def for_evaluation(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the training information for an evaluation: the same tasks, but no scoreboard to count on."""
    return {key: _uncounted(value) for key, value in info.items()}


def _uncounted(value: Any) -> Any:
    if isinstance(value, Mapping) and SCOREBOARD in value:
        return {key: item for key, item in value.items() if key != SCOREBOARD}
    return value
