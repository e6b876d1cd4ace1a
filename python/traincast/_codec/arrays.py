"""Takes arrays, tensors and numpy scalars apart into dtype, shape and bytes."""

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

# The dtype's name, the item size in bytes, the shape, the data.
Described = tuple[str, int, tuple[int, ...], Any]

_EXPERIMENTAL = ("complex32", "bcomplex32")


def describe_array(array: np.ndarray[Any, Any]) -> Described | str:
    """Return what the core needs to encode an array, or a sentence that says why it cannot be published."""
    import numpy as np

    dtype = array.dtype
    name = name_of(dtype)
    if name is None:
        return _refusal(dtype, "an array")
    # Looking up np.ma would import it. While nobody has imported it, there is no masked array.
    if isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())):
        return (
            "a masked array is not supported, since its mask would be lost; use .filled() or .data and .mask"
        )
    if array.nbytes == 0:
        return name, dtype.itemsize, array.shape, b""
    return name, dtype.itemsize, array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def describe_scalar(scalar: np.generic) -> tuple[str, int, bytes] | str:
    """Return the dtype's name, item size and bytes of a numpy scalar, or a sentence as `describe_array`."""
    dtype = scalar.dtype
    name = name_of(dtype)
    if name is None:
        return _refusal(dtype, "a scalar")
    # The dtype of an empty string has item size 0, but `tobytes` returns one null character.
    return name, dtype.itemsize, scalar.tobytes()[: dtype.itemsize]


def _refusal(dtype: np.dtype[Any], what: str) -> str:
    if dtype.fields is not None:
        return f"{what} of the structured dtype {dtype} is not supported; use a dictionary of arrays"
    if dtype.char == "T":
        return f"{what} of dtype {dtype} is not supported; use .astype(str)"
    return f"{what} of dtype {dtype} is not supported; use a list, or an array of numbers or strings"


def describe_tensor(tensor: Any) -> Described | str:
    """Do the same as `describe_array` for a torch tensor on any device."""
    import torch

    if isinstance(tensor, getattr(sys.modules.get("torch.masked"), "MaskedTensor", ())):
        return (
            "a masked tensor is not supported, since its mask would be lost; use .to_tensor(...) or "
            ".get_data() and .get_mask()"
        )
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
    # A conjugated or negated view shares the unchanged memory of its base: resolve_* computes the values.
    return tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()


def _unwarned(function: Callable[[Any], Any], argument: Any) -> Any:
    """Call a function without torch's warning that few operators support a dtype: the learner chose it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(argument)


def from_dlpack(value: Any) -> np.ndarray[Any, Any]:
    """Return an object that has `__dlpack__`, on any device, as a numpy array.

    Raises: whatever the object's own code raises.
    """
    import numpy as np

    ways: list[Callable[[Any], np.ndarray[Any, Any]]] = [np.from_dlpack]
    # The object's own conversion comes first: it supports dtypes that DLPack cannot express, and its errors
    # say what to do.
    if hasattr(type(value), "__array__"):
        ways.insert(0, np.asarray)
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        ways.append(partial(np.from_dlpack, device="cpu"))  # copies from another device
    errors = []
    for way in ways:
        try:
            return way(value)
        except MemoryError:
            raise
        except Exception as error:
            errors.append(error)
    raise errors[0]
