"""What an object is that the native core does not know at sight.

The rule of the core goes by exact types; everything else is asked for here.
"""

from __future__ import annotations

import sys
from collections import UserString
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from traincast._codec.arrays import describe_array, describe_scalar, describe_tensor, from_dlpack
from traincast._codec.refusals import has, refuse, type_name

__all__ = ["describe", "plain_key"]

# More items than this fit no snapshot of a usual size: a `range` of them must not become a list.
_MOST_ITEMS = 1 << 24

# Members that may be one another's values, in a row: a property could go on for ever.
_MOST_ENUMS = 8


def _class(module: str, name: str) -> Any:
    """A class of a module, or a function, if that is loaded: without it there is no object of the class.

    Else, or while the module is still being imported, `()`, which nothing is an instance of.
    """
    return getattr(sys.modules.get(module), name, ())


def describe(value: Any) -> tuple[Any, ...] | str:
    """What it is and what the core needs to encode it; a sentence if it cannot be published.

    `("array", dtype, itemsize, shape, buffer, np.ndarray if numpy can lend its memory again)`,
    `("tensor", ..., None)`, `("scalar", dtype, itemsize, bytes)`, `("mapping", value)`, and
    `("plain", other)`: the core looks at that one anew, and publishes it in place of the value.
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
    """What an instance of a builtin's subclass is, whatever it overrides: the builtin's methods are asked."""
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
    if isinstance(value, UserString):  # each of its characters is one again
        return "plain", str(value)
    if isinstance(value, Sequence):
        return _describe_sequence(value)
    if has(value, "__dataclass_fields__") and (fields := _class("dataclasses", "fields")):
        return "plain", {field.name: getattr(value, field.name) for field in fields(value)}
    if has(value, "__dlpack__"):
        return "plain", from_dlpack(value)
    return refuse(value)


def _describe_sequence(value: Sequence[Any]) -> tuple[Any, ...] | str:
    try:
        fits = len(value) <= _MOST_ITEMS
    except OverflowError:  # a range of more than can be counted
        fits = False
    if not fits:
        return f"a {type_name(value)} of more than {_MOST_ITEMS:,} items is not supported; use a numpy array"
    return "plain", list(value)


def plain_key(key: Any) -> tuple[str | int] | str:
    """A dictionary's key as an exact str or int; a sentence if it cannot be one."""
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
    # numpy counts its timedelta64 among the integers.
    integer, timedelta = _class("numpy", "integer"), _class("numpy", "timedelta64")
    if isinstance(plain, integer) and not isinstance(plain, timedelta):
        return (int(plain),)
    return f"a key of type {type_name(key)} is not supported; use str or int keys"
