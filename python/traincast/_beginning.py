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
    """Return training steps as an int; numpy's numbers and whole floats are allowed.

    Raises:
        ValueError: the steps are negative, or not a whole number.
    """
    if isinstance(steps, Real) and not isinstance(steps, Integral) and float(steps).is_integer():
        steps = int(float(steps))
    with suppress(TypeError):
        if not isinstance(steps, bool) and index(steps) >= 0:
            return index(steps)
    raise ValueError(f"the training steps must be a whole number from 0 up, not {steps!r}")


def first_info(
    start: Any, state: Mapping[str, Any] | None, training_info: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the first training information of a run.

    Args:
        start: the training steps to begin with; 0: those of `training_info`, or of the saved state.
        state: what `Run.state_dict` returned.
        training_info: entries that take precedence over the saved ones.

    Raises:
        ValueError: `state` is not such a state, or the steps are not a whole number from 0 up.
    """
    saved = {} if state is None else _checked(state)["training_info"] or {}
    info = {STEPS_KEY: 0, **saved, **(training_info or {})}
    info[STEPS_KEY] = whole_steps(start) or whole_steps(info[STEPS_KEY])
    return info


def _checked(state: Mapping[str, Any]) -> Mapping[str, Any]:
    problem = None
    if not isinstance(state, Mapping):
        problem = f"it is {state!r}"
    else:
        missing = [key for key in ("version", "epoch", "training_info") if key not in state]
        if missing:
            problem = f"it lacks {', '.join(missing)}"
        elif not isinstance(state["training_info"], Mapping | None):
            problem = f"its training_info is {state['training_info']!r}"
        for key in ("version", "epoch"):
            if not missing and not (isinstance(state[key], int) and 0 <= state[key] < 2**63):
                problem = f"its {key} is {state[key]!r}"
        if not isinstance(state.get("name", ""), str):
            problem = f"its name is {state['name']!r}"
    if problem is not None:
        raise ValueError(f"state must be what Run.state_dict() returned; {problem}")
    return state
