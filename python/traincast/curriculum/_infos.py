"""What a curriculum shows of itself in the infos of its env."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from numbers import Real
from typing import Any

from traincast._warnings import warn_once

__all__ = ["is_finished", "numbers_in", "shown_in"]


def numbers_in(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those of the values that are one number, as floats; numpy's and torch's count too."""
    numbers = {}
    for name, value in values.items():
        if isinstance(value, Real) or getattr(value, "ndim", None) == 0:
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError, OverflowError):  # a string or an object in an array; 10**400
                continue
    return numbers


def shown_in(info: Any, key: str, numbers: Mapping[str, float]) -> Any:
    """Return `info` with `numbers` added to its dictionary under `key`; of several agents, in each one's.

    The info of the env is not changed: it may be one that the env keeps.
    """
    if isinstance(info, list | tuple):
        return type(info)([shown_in(one, key, numbers) for one in info])
    if not isinstance(info, dict):
        return info
    inner = info.get(key, {})
    if not isinstance(inner, dict):
        warn_once(
            ("curriculum info", key),
            f"the env's info has a {key!r} of its own, which is no dictionary, so the curriculum does not "
            "show there what it does; pass another info_key=, or None",
            stacklevel=4,
        )
        return info
    info = copy(info)
    info[key] = {**inner, **numbers}
    return info


def is_finished(terminated: Any, truncated: Any) -> bool:
    """Tell if an episode has ended; of several agents, that of any."""
    return _any(terminated) or _any(truncated)


def _any(flags: Any) -> bool:
    if type(flags) is bool:  # the usual case, at each step
        return flags
    if hasattr(flags, "any"):
        return bool(flags.any())  # numpy and torch
    if isinstance(flags, dict):
        return any(flags.values())
    return any(flags) if isinstance(flags, list | tuple) else bool(flags)
