"""Snapshot values as text, and looking them up by dotted keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from traincast.cli._failures import NoSuchKeyError, did_you_mean
from traincast.cli._text import printable, shorten

__all__ = ["flatten", "full_text", "look_up", "short_text"]

_SHORT = 60  # characters of a value in a table
_NAMED = 20  # keys that the error for an unknown key lists


def look_up(info: Mapping[Any, Any], key: str) -> Any:
    """Return the value of a dotted key: `coefficients.goal`, `scores.0`.

    A key that has dots in its name is found as well. Keys may be ints, and lists are indexed.

    Raises:
        NoSuchKeyError: there is no such key; a note names similar ones.
    """
    found, value = _look_up(info, key)
    if not found:
        names = [name for name, _ in flatten(info)]
        error = NoSuchKeyError(f"no key {key!r}")
        error.add_note(did_you_mean(key, names) or f"there are: {_listed(names)}")
        raise error
    return value


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f", and {more} more" if more > 0 else "")


def _look_up(value: Any, key: str) -> tuple[bool, Any]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            text = str(name)
            if key == text:
                return True, inner
            if key.startswith(f"{text}."):
                found, result = _look_up(inner, key[len(text) + 1 :])
                if found:
                    return True, result
    elif isinstance(value, (list, tuple)):
        index, _, rest = key.partition(".")
        if index.isdecimal() and len(index) < 10 and int(index) < len(value):
            inner = value[int(index)]
            return _look_up(inner, rest) if rest else (True, inner)
    return False, None


def flatten(info: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each leaf with its key; the keys of nested dictionaries are joined by dots."""
    for name, value in info.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{key}.")
        else:
            yield key, value


def short_text(value: Any) -> str:
    """Return a value on one line: arrays by type, shape and range."""
    if _is_array(value) and value.ndim > 0:
        return _array_text(value)
    text = str(value) if isinstance(value, str) else repr(_item(value))
    return shorten(printable(" ".join(text.split())), _SHORT)


def _array_text(array: Any) -> str:
    import numpy as np

    shape = "x".join(map(str, array.shape))
    kind = str(array.dtype).removeprefix("torch.")
    name = f"{kind}[{shape}]"
    floating = getattr(array.dtype, "is_floating_point", False)  # torch: numpy has no bfloat16
    values = np.asarray(array.double() if floating else array)
    if values.size == 0 or values.dtype.kind not in "biuf":
        return name
    if values.size <= 8:
        numbers = " ".join(f"{x:.6g}" for x in values.reshape(-1).tolist())
        return f"{name}  {numbers}"
    if values.dtype.kind == "b":
        return f"{name}  {int(values.sum())} of {values.size} true"
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return f"{name}  nothing finite"
    mean = finite.mean(dtype=np.float64)
    return f"{name}  {finite.min():.6g} to {finite.max():.6g}, mean {mean:.6g}"


def full_text(value: Any) -> str:
    """Return a value as text in full; big arrays as numpy and torch print them."""
    return str(value) if isinstance(value, str) or _is_array(value) else repr(_item(value))


def _is_array(value: Any) -> bool:
    """Whether it is a numpy array, a numpy scalar or a torch tensor; neither package needs to be loaded."""
    return hasattr(value, "dtype") and hasattr(value, "tolist")


def _item(value: Any) -> Any:
    """Return a number as Python's, so that it is not printed as `np.float64(1.0)`."""
    if _is_array(value) and getattr(value.dtype, "kind", "") not in "mM":
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)([_item(inner) for inner in value])
    return str(value) if _is_array(value) else value
