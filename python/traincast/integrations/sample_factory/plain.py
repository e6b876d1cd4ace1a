"""A snapshot's values as JSON and back, exactly: type, dtype and bits.

What JSON has no word for becomes an object with the key `$`, which names the type.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["from_plain", "to_plain"]

_TAG = "$"
_SMALL = 1 << 63  # parsers need not agree on bigger integers, and Python's refuses very long ones


def to_plain(value: Any) -> Any:
    """Return `value` (what a channel can carry) as objects, arrays, strings and numbers of JSON.

    Raises:
        TypeError: a type that a channel does not carry.
    """
    # numpy's scalars first: some are also a `float`, a `str` or `bytes`.
    if isinstance(value, np.generic):
        return _scalar(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -_SMALL <= value < _SMALL else {_TAG: "int", "hex": hex(value)}
    if isinstance(value, float):
        # NaN keeps its payload; json writes finite numbers so that they come back bit for bit.
        return value if math.isfinite(value) else {_TAG: "float", "hex": struct.pack(">d", value).hex()}
    if isinstance(value, bytes):
        return {_TAG: "bytes", "base64": _text(value)}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, tuple):
        return {_TAG: "tuple", "items": [to_plain(item) for item in value]}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and _TAG not in value:
            return {key: to_plain(item) for key, item in value.items()}
        return {_TAG: "dict", "items": [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return {_TAG: "array", **_array(value)}
    if isinstance(value, torch.Tensor):
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        dtype = str(value.dtype).removeprefix("torch.")
        return {_TAG: "tensor", "dtype": dtype, "shape": list(value.shape), "base64": _text(raw)}
    raise TypeError(f"{type(value).__name__} is not supported")


def from_plain(plain: Any) -> Any:
    """Return the value that `to_plain` was given; arrays come back read-only.

    Raises:
        ValueError, KeyError, TypeError: not what `to_plain` returns.
    """
    if isinstance(plain, list):
        return [from_plain(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if _TAG not in plain:
        return {key: from_plain(item) for key, item in plain.items()}
    return _READ[plain[_TAG]](plain)


def _scalar(value: np.generic) -> dict[str, Any]:
    if isinstance(value, np.str_):  # an empty one has a dtype that no array has
        return {_TAG: "str_", "text": str(value)}
    if isinstance(value, np.bytes_):
        return {_TAG: "bytes_", "base64": _text(value)}
    return {_TAG: "scalar", **_array(np.asarray(value))}


def _array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"dtype": value.dtype.str, "shape": list(value.shape), "base64": _text(value.tobytes())}


def _read_array(plain: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype = np.dtype(plain["dtype"])
    if dtype.hasobject:
        raise ValueError("arrays of objects are not supported")
    return np.ndarray(tuple(plain["shape"]), dtype, buffer=_bytes(plain))


def _read_tensor(plain: dict[str, Any]) -> torch.Tensor:
    dtype = getattr(torch, plain["dtype"])
    raw = _bytes(plain)
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    return flat.reshape(plain["shape"])


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(plain: dict[str, Any]) -> bytes:
    return base64.b64decode(plain["base64"], validate=True)


_READ: dict[str, Callable[[dict[str, Any]], Any]] = {
    "int": lambda plain: int(plain["hex"], 16),
    "float": lambda plain: struct.unpack(">d", bytes.fromhex(plain["hex"]))[0],
    "bytes": _bytes,
    "tuple": lambda plain: tuple(from_plain(item) for item in plain["items"]),
    "dict": lambda plain: {from_plain(key): from_plain(item) for key, item in plain["items"]},
    "array": _read_array,
    "scalar": lambda plain: _read_array(plain)[()],
    "str_": lambda plain: np.str_(plain["text"]),
    "bytes_": lambda plain: np.bytes_(_bytes(plain)),
    "tensor": _read_tensor,
}
