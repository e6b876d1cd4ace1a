"""Says as what an object is published whose exact type the native core does not know."""

from __future__ import annotations

import sys
from collections import UserString
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from traincast._codec.arrays import describe_array, describe_scalar, describe_tensor, from_dlpack
from traincast._codec.refusals import has, is_dataclass, refuse, type_name

__all__ = ["describe", "plain_key"]

# More items than this do not fit a snapshot of the usual size: a huge `range` must not become a list.
_MOST_ITEMS = 1 << 24

# How many enum members in a row may be each other's value: a `value` property could go on forever.
_MOST_ENUMS = 8


def _class(module: str, name: str) -> Any:
    """Return a class or function of a module that is loaded: otherwise no object of the class exists.

    Where the module is not loaded, or has not been imported far enough, it is `()`, which nothing is an
    instance of.
    """
    return getattr(sys.modules.get(module), name, ())


def describe(value: Any) -> tuple[Any, ...] | str:
    """Return what a value is and what the core needs to encode it, or a sentence that refuses it.

    `("array", dtype, itemsize, shape, buffer, np.ndarray if numpy can lend its memory again)`,
    `("tensor", ..., None)`, `("scalar", dtype, itemsize, bytes)`, `("mapping", value)`, and
    `("plain", other)`: the core examines `other`, and publishes it in place of the value.
    """
    array = _class("numpy", "ndarray")
    if isinstance(value, array):
        described = describe_array(value)
        if isinstance(described, str):
            return described
        return "array", *described, array if type(value) is array else None
    if isinstance(value, _class("numpy", "generic")):
        scalar = describe_scalar(value)
        return scalar if isinstance(scalar, str) else ("scalar", *scalar)
    if isinstance(value, _class("torch", "Tensor")):
        tensor = describe_tensor(value)
        return tensor if isinstance(tensor, str) else ("tensor", *tensor, None)
    if isinstance(value, Enum):
        return "plain", value.value
    return _describe_builtin(value) or _describe_by_protocol(value)


def _describe_builtin(value: Any) -> tuple[Any, ...] | None:
    """Describe an instance of a builtin's subclass by the builtin's own methods, whatever it overrides."""
    kind = type(value)
    if issubclass(kind, int):
        return "plain", int.__int__(value)
    if issubclass(kind, float):
        return "plain", float.__float__(value)
    if issubclass(kind, str):
        return "plain", str.__str__(value)
    if issubclass(kind, bytes):
        return "plain", bytes.__getitem__(value, slice(None))
    if issubclass(kind, (bytearray, memoryview)):
        return "plain", memoryview(value).tobytes()
    if issubclass(kind, tuple):
        return "plain", tuple.__getitem__(value, slice(None))
    if issubclass(kind, list):
        return "plain", list.__getitem__(value, slice(None))
    if issubclass(kind, dict):
        return "mapping", value
    return None


def _describe_by_protocol(value: Any) -> tuple[Any, ...] | str:
    if isinstance(value, Mapping):
        return "mapping", value
    if isinstance(value, UserString):  # a Sequence, each item of which is a UserString again
        return "plain", str(value)
    if isinstance(value, Sequence) and not has(value, "keys"):  # sqlite3's rows have names, too
        return _describe_sequence(value)
    # One that can be called (a schedule) is a function, and its fields are no value.
    if is_dataclass(value) and not callable(value) and (fields := _class("dataclasses", "fields")):
        return "plain", {field.name: getattr(value, field.name) for field in fields(value)}
    if has(value, "__dlpack__"):
        return "plain", from_dlpack(value)
    return refuse(value)


def _describe_sequence(value: Sequence[Any]) -> tuple[Any, ...] | str:
    try:
        fits = len(value) <= _MOST_ITEMS
    except OverflowError:  # a range whose length does not fit a machine word
        fits = False
    if not fits:
        return f"a {type_name(value)} of more than {_MOST_ITEMS:,} items is not supported; use a numpy array"
    return "plain", list(value)


def plain_key(key: Any) -> tuple[str | int] | str:
    """Return a dictionary's key as an exact str or int, or a sentence that refuses it."""
    plain = key
    for _ in range(_MOST_ENUMS):
        if not isinstance(plain, Enum):
            break
        plain = plain.value
    kind = type(plain)
    if issubclass(kind, str):
        return (str.__str__(plain),)
    if issubclass(kind, int) and kind is not bool:
        return (int.__int__(plain),)
    # timedelta64 is a subclass of numpy's integer.
    integer, timedelta = _class("numpy", "integer"), _class("numpy", "timedelta64")
    if isinstance(plain, integer) and not isinstance(plain, timedelta):
        return (int(plain),)
    return f"a key of type {type_name(key)} is not supported; use str or int keys"
