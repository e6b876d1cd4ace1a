"""What a run begins with: its steps and first training information."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from numbers import Integral, Real
from operator import index
from typing import Any

__all__ = ["STEPS_KEY", "first_info", "whole_steps"]

STEPS_KEY = "approx_total_training_steps"


def whole_steps(steps: Any) -> int:
    """Return training steps as an int; numpy's numbers and whole floats are allowed."""
    if isinstance(steps, Real) and not isinstance(steps, Integral) and float(steps).is_integer():
        steps = int(float(steps))
    with suppress(TypeError):
        if not isinstance(steps, bool) and index(steps) >= 0:
            return index(steps)
    raise ValueError(f"the training steps must be a whole number from 0 up, not {steps!r}")


def first_info(
    start: Any, state: Mapping[str, Any] | None, training_info: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a run begins with."""
    saved: Mapping[str, Any] = {}
    if state is not None:
        missing = [key for key in ("version", "epoch", "training_info") if key not in state]
        if missing:
            raise ValueError(f"state must be what Run.state_dict() returned; it lacks {', '.join(missing)}")
        saved = state["training_info"] or {}
    info = {STEPS_KEY: 0, **saved, **(training_info or {})}
    info[STEPS_KEY] = whole_steps(start) or whole_steps(info[STEPS_KEY])
    return info
