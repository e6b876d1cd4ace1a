"""The JSON form of a wrapper's arguments: what an env spec is written with, and read back from.

JSON has no tuples, ranges, arrays or schedules. Each of these is written as an object with a key that
begins with `$`, and an argument that may hold any is marked as a whole, so that a user's dictionary is never
mistaken for one:

    {"$json": {"gravity": {"$schedule": "Linear", "start": 2.0, "end": 9.8, "duration": 10, "begin": 0.0}}}

Functions and the user's own classes are written as `module:name`, as Gymnasium writes entry points. So
making an env from a spec runs the code that the spec names.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "add_kind",
    "import_path",
    "imported",
    "read",
    "read_argument",
    "refusal",
    "write_argument",
    "written",
]

_MARK = "$json"
_PLAIN = (type(None), bool, int, str)
_DTYPES = "biufU"  # booleans, integers, floats, strings: the kinds that `tolist` keeps without loss


def write_argument(value: Any, name: str) -> Any:
    """Return the JSON form of an argument; ValueError, naming the place, if it has none."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in (*_PLAIN, float):
        return value
    try:
        return {_MARK: written(value, name)}
    except RecursionError as error:
        raise refusal(name, "it is nested too deeply, or contains itself") from error


def read_argument(value: Any) -> Any:
    """Undo `write_argument`; anything else is returned as it is."""
    if type(value) is dict and value.keys() == {_MARK}:
        return read(value[_MARK])
    return value


def add_kind(
    kind: type, tag: str, write: Callable[[Any, str], dict[str, Any]], read: Callable[[dict[str, Any]], Any]
) -> None:
    """Let instances of `kind` be written as `{tag: ..., ...}`; `read` undoes `write`."""
    _ADDED.append((kind, write))
    _READERS[tag] = read


def written(value: Any, place: str) -> Any:
    """Return the JSON form of something in an argument; `place` is named if it has none."""
    kind = type(value)
    if kind in _PLAIN or (kind is float and math.isfinite(value)):
        return value
    if kind in _WRITERS:
        return _WRITERS[kind](value, place)
    for added, write in _ADDED:
        if isinstance(value, added):
            return write(value, place)
    if isinstance(value, np.generic):
        dtype = _dtype(value, place)
        return {"$scalar": written(value.item(), place), "dtype": dtype}
    if callable(value):
        return {"$import": import_path(value, place)}
    raise refusal(
        place,
        f"{kind.__name__} is not supported, only numbers, strings, lists, tuples, dicts, ranges, numpy "
        "arrays, schedules, and functions that can be imported",
    )


def _written_items(values: Any, place: str) -> list[Any]:
    return [written(value, f"{place}[{index}]") for index, value in enumerate(values)]


def _written_dict(values: dict[Any, Any], place: str) -> dict[str, Any]:
    forms = {key: written(value, f"{place}[{key!r}]") for key, value in values.items()}
    if all(type(key) is str and not key.startswith("$") for key in forms):
        return forms
    return {"$dict": [[written(key, f"{place}: key {key!r}"), form] for key, form in forms.items()]}


def _written_array(array: np.ndarray[Any, Any], place: str) -> dict[str, Any]:
    dtype = _dtype(array, place)
    return {"$array": _written_items(array.ravel().tolist(), place), "dtype": dtype, "shape": [*array.shape]}


def _dtype(value: Any, place: str) -> str:
    dtype: np.dtype[Any] = value.dtype
    if dtype.kind not in _DTYPES or dtype == np.longdouble:
        raise refusal(place, f"numpy's {dtype} is not supported")
    return dtype.str


def import_path(value: Any, place: str) -> str:
    """Return `module:name`; ValueError if another program would not find it there."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        raise refusal(place, f"{value!r} has no name by which it can be imported")
    if module == "__main__" or not _found(module, name, value):
        raise refusal(
            place,
            f"another program cannot import {module}.{name}; use a schedule, or a function at the top level "
            "of a module",
        )
    return f"{module}:{name}"


def _found(module: str, name: str, value: Any) -> bool:
    try:
        return imported(f"{module}:{name}") is value
    except (ImportError, AttributeError):
        return False


def imported(path: str) -> Any:
    """Undo `import_path`."""
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def refusal(place: str, reason: str) -> ValueError:
    """Return the error for what cannot be written."""
    return ValueError(f"{place} cannot be written to JSON: {reason}")


def read(form: Any) -> Any:
    """Undo `written`."""
    if type(form) is list:
        return [read(item) for item in form]
    if type(form) is not dict:
        return form
    tag = next((key for key in form if key.startswith("$")), None)
    if tag is None:
        return {key: read(item) for key, item in form.items()}
    if tag not in _READERS:
        raise ValueError(f"an argument of a wrapper has an unknown form: {tag!r}")
    return _READERS[tag](form)


def _read_array(form: dict[str, Any]) -> Any:
    return np.array(read(form["$array"]), dtype=form["dtype"]).reshape(form["shape"])


_ADDED: list[tuple[type, Callable[[Any, str], Any]]] = []
_WRITERS: dict[type, Callable[[Any, str], Any]] = {
    float: lambda value, _: {"$float": repr(value)},  # JSON has no infinities
    list: _written_items,
    tuple: lambda value, place: {"$tuple": _written_items(value, place)},
    range: lambda value, _: {"$range": [value.start, value.stop, value.step]},
    dict: _written_dict,
    np.ndarray: _written_array,
}
_READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$float": lambda form: float(form["$float"]),
    "$tuple": lambda form: tuple(read(form["$tuple"])),
    "$range": lambda form: range(*form["$range"]),
    "$dict": lambda form: {read(key): read(item) for key, item in form["$dict"]},
    "$array": _read_array,
    "$scalar": lambda form: np.dtype(form["dtype"]).type(read(form["$scalar"])),
    "$import": lambda form: imported(form["$import"]),
}
