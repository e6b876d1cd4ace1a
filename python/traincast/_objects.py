"""What an object is that the native core does not know at sight: an array, a scalar, a subclass, a mapping.

The rule of the core goes by exact types; everything else is asked for here, and refused with a remedy.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from typing import Any

from traincast import _arrays

_REMEDIES = {
    **dict.fromkeys(
        ("set", "frozenset", "dict_keys", "dict_values", "range", "generator", "array.array"), "use a list"
    ),
    **dict.fromkeys(("bytearray", "memoryview"), "use bytes"),
    **dict.fromkeys(("function", "builtin_function_or_method", "type", "method"), "publish its name"),
    **dict.fromkeys(("decimal.Decimal", "fractions.Fraction"), "use a float or a str"),
    **dict.fromkeys(
        ("datetime.datetime", "datetime.timedelta", "datetime.date"),
        "use numpy.datetime64, or seconds as a float",
    ),
    "complex": "use a tuple of two floats, or numpy.complex128",
}

_numpy_is_loaded = False


def _class(module: str, name: str) -> Any:
    """A class of a module if that is loaded: without the module there is no object of the class.

    Else, or while the module is still being imported, `()`, which nothing is an instance of.
    """
    return getattr(sys.modules.get(module), name, ())


def describe(value: Any) -> tuple[Any, ...] | str:
    """What it is and what the core needs to encode it; a sentence if it cannot be published.

    `("array", dtype, itemsize, shape, buffer, np.ndarray if it is one exactly)`, `("tensor", ..., None)`,
    `("scalar", dtype, itemsize, bytes)`, `("plain", the value as an exact builtin)`, `("mapping", value)`.
    """
    array, scalar, tensor = _class("numpy", "ndarray"), _class("numpy", "generic"), _class("torch", "Tensor")
    if isinstance(value, array):
        load_numpy()
        described = _arrays.describe_array(value)
        exact = array if type(value) is array else None
        return described if isinstance(described, str) else ("array", *described, exact)
    if isinstance(value, scalar):
        load_numpy()
        found = _arrays.describe_scalar(value)
        return found if isinstance(found, str) else ("scalar", *found)
    if isinstance(value, tensor):
        load_numpy()
        described = _arrays.describe_tensor(value)
        return described if isinstance(described, str) else ("tensor", *described, None)
    return _describe_builtin(value)


def _describe_builtin(value: Any) -> tuple[Any, ...] | str:
    # The unbound methods of a builtin give its value whatever a subclass overrides.
    kind = type(value)
    if issubclass(kind, int):
        return "plain", int.__int__(value)
    if issubclass(kind, float):
        return "plain", float.__float__(value)
    if issubclass(kind, str):
        return "plain", str.__str__(value)
    if issubclass(kind, bytes):
        return "plain", bytes.__getitem__(value, slice(None))
    if issubclass(kind, tuple):
        return "plain", tuple.__getitem__(value, slice(None))
    if issubclass(kind, list):
        return "plain", list.__getitem__(value, slice(None))
    if issubclass(kind, dict) or isinstance(value, Mapping):
        return "mapping", value
    if isinstance(value, deque):
        return "plain", list(value)
    name = type_name(value)
    remedy = _REMEDIES.get(name, "use numbers, str, bytes, list, tuple, dict, numpy arrays or torch tensors")
    return f"{name} is not supported; {remedy}"


def type_name(value: Any) -> str:
    """The name of its class, with the module unless it is a builtin."""
    kind = type(value)
    module = getattr(kind, "__module__", "builtins")
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def int_bytes(value: int) -> bytes:
    """An integer's two's complement, little endian, as short as it goes."""
    return int.to_bytes(value, int.bit_length(value) // 8 + 1, "little", signed=True)


def int_from_bytes(data: bytes) -> int:
    """The integer of `int_bytes`."""
    return int.from_bytes(data, "little", signed=True)


def load_numpy() -> None:
    """Has `_arrays` load numpy: when the first array is met, or made."""
    global _numpy_is_loaded
    if not _numpy_is_loaded:
        _arrays.load_numpy()
        _numpy_is_loaded = True


def maker(kind: str, dtype: str, itemsize: int) -> Any:
    """What builds an array, tensor or scalar of a dtype that was read from shared memory."""
    load_numpy()
    return {"array": _arrays.array_maker, "tensor": _arrays.tensor_maker, "scalar": _arrays.scalar_maker}[
        kind
    ](dtype, itemsize)
