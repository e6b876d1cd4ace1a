"""numpy and torch on behalf of the native core: taking arrays apart and putting them together.

Imported together with the native core: a child that is forked while another thread imports a module can never
import it. numpy is loaded when the core meets the first array, torch only if it meets a tensor.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# The names of bool, integers, floats, complex, datetime64, timedelta64, bytes, str. Not objects, not
# structured; no multiples of zero, which numpy divides by.
_NAME = re.compile(r"[|<>]([biufcSU][0-9]{1,10}|[mM]8(\[([1-9][0-9]{0,9})?([YMWDhms]|[munpfa]s)\])?)")

Described = tuple[str, int, tuple[int, ...], Any]


def load_numpy() -> None:
    """To be called before all else here."""
    global np
    import numpy as np


def _refusal(dtype: np.dtype[Any], what: str) -> str | None:
    if _NAME.fullmatch(dtype.str):
        return None
    if dtype.fields is not None:
        return f"{what} of the structured dtype {dtype} is not supported; use a dictionary of arrays"
    return f"{what} of dtype {dtype} is not supported; use a list, or an array of numbers or strings"


def describe_array(array: np.ndarray[Any, Any]) -> Described | str:
    """The dtype's name, item size, shape and bytes of an array; a sentence if it cannot be published."""
    dtype = array.dtype
    if refusal := _refusal(dtype, "an array"):
        return refusal
    # Not np.ma, which numpy would import now: without it there is none.
    if isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())):
        return (
            "a masked array is not supported, since its mask would be lost; use .filled() or .data and .mask"
        )
    if array.nbytes == 0:
        return dtype.str, dtype.itemsize, array.shape, b""
    return dtype.str, dtype.itemsize, array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def describe_scalar(scalar: np.generic) -> tuple[str, int, bytes] | str:
    """The dtype's name, item size and bytes of a numpy scalar; a sentence if it cannot be published."""
    if refusal := _refusal(scalar.dtype, "a scalar"):
        return refusal
    # numpy keeps a terminator for an empty text, whose dtype has no room for one.
    return scalar.dtype.str, scalar.dtype.itemsize, scalar.tobytes()[: scalar.dtype.itemsize]


def describe_tensor(tensor: Any) -> Described | str:
    """As `describe_array`, for a torch tensor on any device."""
    import torch

    if tensor.layout is not torch.strided:
        return f"a tensor of layout {tensor.layout} is not supported; use .to_dense()"
    if tensor.is_quantized:
        return f"a quantized tensor ({tensor.dtype}) is not supported; use .dequantize() or .int_repr()"
    if tensor.is_meta:
        return "a tensor on the meta device has no data; publish a real one"
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in _TENSOR_ITEMSIZE:
        remedy = "convert it, for example with .to(torch.float32)"
        return f"a tensor of dtype {tensor.dtype} is not supported; {remedy}"
    plain = _unwarned(_plain, tensor) if name in _EXPERIMENTAL else _plain(tensor)
    if plain.numel() == 0:
        return name, _TENSOR_ITEMSIZE[name], tuple(plain.shape), b""
    return name, _TENSOR_ITEMSIZE[name], tuple(plain.shape), plain.reshape(-1).view(torch.uint8).numpy()


def _plain(tensor: Any) -> Any:
    # resolve_*: a conjugated or negated view shares the memory of what it was made from.
    return tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()


def _unwarned(function: Callable[[Any], Any], argument: Any) -> Any:
    """Keep quiet about dtypes that few operators support: the learner chose them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(argument)


def _dtype(name: str, itemsize: int) -> np.dtype[Any]:
    """The dtype of a name that was read from shared memory."""
    # numpy sees only what a writer may have sent: `np.dtype("<M8[s/0]")` ends the process, and an object
    # array would be a way in.
    try:
        dtype = np.dtype(name) if _NAME.fullmatch(name) else None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name!r} is no dtype") from error
    if dtype is None or dtype.itemsize != itemsize or dtype.str != name:
        raise ValueError(f"{name!r} of {itemsize} bytes is no dtype of a snapshot")
    return dtype


def array_maker(name: str, itemsize: int) -> Callable[[tuple[int, ...], Any, int], np.ndarray[Any, Any]]:
    """What builds a read-only array of the dtype from `(shape, buffer, offset in bytes)` without a copy."""
    dtype = _dtype(name, itemsize)
    return partial(_texts if dtype.kind in "SU" else _array, dtype)


def _texts(dtype: np.dtype[Any], shape: tuple[int, ...], buffer: Any, offset: int) -> np.ndarray[Any, Any]:
    # Of items without bytes any number fits into no memory: numpy's own count of them would overflow.
    if math.prod(shape) > sys.maxsize:
        raise ValueError(f"an array of shape {shape} is too large")
    array = _array(dtype, shape, buffer, offset)
    _check_characters(dtype, buffer, offset, array.nbytes)
    return array


def _check_characters(dtype: np.dtype[Any], buffer: Any, offset: int, size: int) -> None:
    """Python has no characters above U+10FFFF, and numpy makes some all the same."""
    if dtype.kind == "U" and size:
        codes = np.ndarray(size // 4, f"{dtype.str[0]}u4", buffer, offset)
        if codes.max() > sys.maxunicode:
            raise ValueError("a character beyond Unicode")


def _array(dtype: np.dtype[Any], shape: tuple[int, ...], buffer: Any, offset: int) -> np.ndarray[Any, Any]:
    return np.ndarray(shape, dtype, buffer, offset)


def scalar_maker(name: str, itemsize: int) -> Callable[[bytes], Any]:
    """What builds a scalar of the dtype from its bytes."""
    return partial(_scalar, _dtype(name, itemsize))


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    _check_characters(dtype, data, 0, dtype.itemsize)
    return np.ndarray((), dtype, data)[()]


# torch's plain dtypes and their item size.
_TENSOR_ITEMSIZE = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "uint32": 4,
    "int32": 4,
    "uint64": 8,
    "int64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
    "bfloat16": 2,
    "complex32": 4,
    "bcomplex32": 4,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
}
_EXPERIMENTAL = ("complex32", "bcomplex32")


def tensor_maker(name: str, itemsize: int) -> Callable[[tuple[int, ...], Any, int], Any]:
    """What builds a tensor with memory of its own from `(shape, buffer, offset in bytes)`.

    A tensor has no read-only flag, so each reader gets a copy. Without torch, or with one too old for the
    dtype, it is an array: dtypes that numpy lacks are widened to float32 (complex ones to complex64), which
    holds each of their values exactly.
    """
    if _TENSOR_ITEMSIZE.get(name) != itemsize:
        raise ValueError(f"{name!r} of {itemsize} bytes is no dtype of a tensor")
    try:
        import torch

        dtype = getattr(torch, name)
    except (ImportError, AttributeError):
        return partial(_without_torch, name, itemsize)
    return partial(_tensor, torch, dtype, itemsize)


def _tensor(torch: Any, dtype: Any, itemsize: int, shape: tuple[int, ...], buffer: Any, offset: int) -> Any:
    size = math.prod(shape) * itemsize
    if not size:
        return _unwarned(partial(torch.empty, dtype=dtype), shape)
    own = np.frombuffer(buffer, np.uint8, size, offset).copy()
    return torch.from_numpy(own).view(dtype).reshape(shape)


def _without_torch(name: str, itemsize: int, shape: tuple[int, ...], buffer: Any, offset: int) -> Any:
    count = math.prod(shape)
    if name in ("bfloat16", "bcomplex32"):
        halves = np.frombuffer(buffer, np.uint16, count * itemsize // 2, offset)
        parts = (halves.astype(np.uint32) << 16).view(np.float32)
        return (parts if name == "bfloat16" else parts.view(np.complex64)).reshape(shape)
    if name == "complex32":
        return (
            np.frombuffer(buffer, np.float16, 2 * count, offset)
            .astype(np.float32)
            .view(np.complex64)
            .reshape(shape)
        )
    if name.startswith("float8"):
        return _float8_table(name)[np.frombuffer(buffer, np.uint8, count, offset)].reshape(shape)
    return np.frombuffer(buffer, np.dtype(name), count, offset).reshape(shape)


def _float8_table(name: str) -> np.ndarray[Any, Any]:
    """The value of each of the 256 codes (Micikevicius et al. 2022; `fn`: finite, `uz`: no negative zero)."""
    codes = np.arange(256)
    if name == "float8_e8m0fnu":
        return np.where(codes == 255, np.nan, 2.0 ** (codes - 127)).astype(np.float32)
    mantissa_bits = 2 if "e5m2" in name else 3
    bias = (15 if mantissa_bits == 2 else 7) + (1 if name.endswith("uz") else 0)
    exponent = (codes & 0x7F) >> mantissa_bits
    fraction = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    value = np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias))
    value = np.where(codes >= 128, -value, value)
    if name.endswith("uz"):
        value[0x80] = np.nan
    elif name == "float8_e4m3fn":
        value[[0x7F, 0xFF]] = np.nan
    else:
        value[[0x7C, 0xFC]] = np.inf, -np.inf
        value[[0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]] = np.nan
    return value.astype(np.float32)
