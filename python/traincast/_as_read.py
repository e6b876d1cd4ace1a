"""What readers would get of a dictionary, where no channel is in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from traincast._codec import describe, plain_key

__all__ = ["as_read"]

_PLAIN = (type(None), bool, int, float, str, bytes)
_LEVELS = 64  # as of a snapshot


def as_read(info: Mapping[Any, Any], level: int = 0) -> dict[Any, Any]:
    """Return a copy of training information with its values as they would be after a publish.

    An enum member becomes its value, a dataclass a dictionary, a deque a list. What could not be published
    stays as it is. Arrays are copies that may be written to.
    """
    plain: dict[Any, Any] = {}
    for key, value in info.items():
        as_key = plain_key(key)
        plain[key if isinstance(as_key, str) else as_key[0]] = _value(value, level + 1)
    return plain


def _value(value: Any, level: int) -> Any:
    kind = type(value)
    if kind in _PLAIN or level > _LEVELS:
        return value
    if kind is list or kind is tuple:
        return kind(_value(item, level + 1) for item in value)
    if kind is dict:
        return as_read(value, level)
    described = describe(value)
    if isinstance(described, str):  # why it is refused
        return value
    what, other = described[:2]
    if what == "plain":
        return _value(other, level + 1)
    if what == "mapping":
        return as_read(other, level)
    if what == "array":
        return _array(value)
    return value.detach().cpu().clone() if what == "tensor" else value


def _array(value: Any) -> Any:
    import numpy as np

    return np.array(value, order="C", subok=False)
