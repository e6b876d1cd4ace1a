"""The `env_state` in a checkpoint of rl_games: that of the run, and that of the vec env inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from traincast.run import Run

__all__ = ["parts_of", "state_of"]

_OURS = "traincast"


def state_of(run: Run, inner: Any) -> dict[str, Any]:
    """Return the state of a run, and that of a vec env inside."""
    return {_OURS: run.state_dict(), "env": inner}


def parts_of(env_state: Any) -> tuple[dict[str, Any] | None, Any]:
    """Return the run's part of an `env_state`, or None, and the part of the vec env inside."""
    if isinstance(env_state, Mapping) and _OURS in env_state:
        return env_state[_OURS], env_state.get("env")
    return None, env_state
