"""Numbers, and how they are shown in the infos of envs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from numbers import Real
from typing import Any

from traincast._warnings import warn_once

__all__ = ["is_finished", "number_of", "numbers_in", "shown_in"]


def number_of(value: Any) -> float | None:
    """Return a number as a float, None for anything else; numpy's and torch's count too."""
    if isinstance(value, Real) or getattr(value, "ndim", None) == 0:
        with suppress(TypeError, ValueError, OverflowError):  # a string or an object in an array; 10**400
            return float(value.detach() if hasattr(value, "detach") else value)
    return None


def numbers_in(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those of the values that are a single number, as floats."""
    numbers = {name: number_of(value) for name, value in values.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def shown_in(info: Any, key: str, numbers: Mapping[str, float]) -> Any:
    """Return `info` with `numbers` added to its dictionary under `key`; a list or tuple of infos likewise.

    The env's own info is not changed, because the env may keep it.
    """
    if isinstance(info, list | tuple):
        return type(info)([shown_in(one, key, numbers) for one in info])
    if not isinstance(info, dict):
        return info
    inner = info.get(key, {})
    if not isinstance(inner, dict):
        warn_once(
            ("info key", key),
            f"the env's info has a {key!r} of its own, which is not a dictionary, so nothing is shown there; "
            "pass another info_key=",
            stacklevel=4,
        )
        return info
    info = copy(info)
    info[key] = {**inner, **numbers}
    return info


def is_finished(terminated: Any, truncated: Any) -> bool:
    """Tell if an episode has ended; with several agents, if it has for any of them."""
    return _any(terminated) or _any(truncated)


def _any(flags: Any) -> bool:
    if type(flags) is bool:  # the usual case, at each step
        return flags
    if hasattr(flags, "any"):
        return bool(flags.any())  # numpy and torch
    if isinstance(flags, dict):
        return any(flags.values())
    return any(flags) if isinstance(flags, list | tuple) else bool(flags)
