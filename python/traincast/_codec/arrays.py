"""Arrays, tensors and numpy scalars, taken apart: dtype, shape, bytes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from traincast._codec.dtypes import TENSOR_ITEMSIZE, name_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Described", "describe_array", "describe_scalar", "describe_tensor", "from_dlpack"]

# The dtype's name, the size of an item, the shape, the bytes.
Described = tuple[str, int, tuple[int, ...], Any]

_EXPERIMENTAL = ("complex32", "bcomplex32")


def describe_array(array: np.ndarray[Any, Any]) -> Described | str:
    """What the core needs of an array; a sentence if it cannot be published."""
    import numpy as np

    dtype = array.dtype
    name = name_of(dtype)
    if name is None:
        return _refusal(dtype, "an array")
    # Not np.ma, which numpy would import now: without it there is none.
    if isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())):
        return (
            "a masked array is not supported, since its mask would be lost; use .filled() or .data and .mask"
        )
    if array.nbytes == 0:
        return name, dtype.itemsize, array.shape, b""
    return name, dtype.itemsize, array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def describe_scalar(scalar: np.generic) -> tuple[str, int, bytes] | str:
    """The dtype's name, item size and bytes of a numpy scalar; a sentence if it cannot be published."""
    dtype = scalar.dtype
    name = name_of(dtype)
    if name is None:
        return _refusal(dtype, "a scalar")
    # numpy keeps a terminator for an empty text, whose dtype has no room for one.
    return name, dtype.itemsize, scalar.tobytes()[: dtype.itemsize]


def _refusal(dtype: np.dtype[Any], what: str) -> str:
    if dtype.fields is not None:
        return f"{what} of the structured dtype {dtype} is not supported; use a dictionary of arrays"
    if dtype.char == "T":
        return f"{what} of dtype {dtype} is not supported; use .astype(str)"
    return f"{what} of dtype {dtype} is not supported; use a list, or an array of numbers or strings"


def describe_tensor(tensor: Any) -> Described | str:
    """As `describe_array`, for a torch tensor on any device."""
    import torch

    if tensor.is_nested:
        return "a nested tensor is not supported; use .unbind(), or .to_padded_tensor(...)"
    if tensor.layout is not torch.strided:
        return f"a tensor of layout {tensor.layout} is not supported; use .to_dense()"
    if tensor.is_quantized:
        return f"a quantized tensor ({tensor.dtype}) is not supported; use .dequantize() or .int_repr()"
    if tensor.is_meta:
        return "a tensor on the meta device has no data; publish a real one"
    name = str(tensor.dtype).removeprefix("torch.")
    itemsize = TENSOR_ITEMSIZE.get(name)
    if itemsize is None:
        remedy = "convert it, for example with .to(torch.float32)"
        return f"a tensor of dtype {tensor.dtype} is not supported; {remedy}"
    plain = _unwarned(_plain, tensor) if name in _EXPERIMENTAL else _plain(tensor)
    if plain.numel() == 0:
        return name, itemsize, tuple(plain.shape), b""
    return name, itemsize, tuple(plain.shape), plain.reshape(-1).view(torch.uint8).numpy()


def _plain(tensor: Any) -> Any:
    # resolve_*: a conjugated or negated view shares the memory of what it was made from.
    return tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()


def _unwarned(function: Callable[[Any], Any], argument: Any) -> Any:
    """Keep quiet about dtypes that few operators support: the learner chose them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(argument)


def from_dlpack(value: Any) -> np.ndarray[Any, Any]:
    """The numpy array of an object that has `__dlpack__`, on whatever device it is.

    Raises: what the object's own code raises.
    """
    import numpy as np

    ways: list[Callable[[Any], np.ndarray[Any, Any]]] = [np.from_dlpack]
    # The object's own conversion comes first: it knows dtypes that DLPack has no word for, and its errors
    # say what to do.
    if hasattr(type(value), "__array__"):
        ways.insert(0, np.asarray)
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        ways.append(partial(np.from_dlpack, device="cpu"))  # a copy, if it is another device's
    errors = []
    for way in ways:
        try:
            return way(value)
        except MemoryError:
            raise
        except Exception as error:
            errors.append(error)
    raise errors[0]
