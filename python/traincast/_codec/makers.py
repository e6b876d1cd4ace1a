"""Functions that build arrays, tensors and numpy scalars for readers: makers.

Their input comes from shared memory, so nothing in it is trusted. Name and item size of a dtype are checked
when its maker is created; bytes are checked where numpy does not check them itself.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from traincast._codec.dtypes import TENSOR_ITEMSIZE, check_name, is_numpys, of_ml_dtypes

if TYPE_CHECKING:
    import numpy as np

__all__ = ["maker"]

# Builds an array or a tensor from `(shape, buffer, offset in bytes)`.
MakeArray = Callable[[tuple[int, ...], Any, int], Any]


def maker(kind: str, name: str, itemsize: int) -> Callable[..., Any]:
    """Return the maker of an `"array"`, `"tensor"` or `"scalar"` with a dtype read from shared memory.

    Raises:
        ValueError: no writer sends such a dtype.
    """
    import numpy as np

    if kind == "tensor":
        return _tensor_maker(name, itemsize)
    check_name(name, itemsize)
    maker_of = _array_maker if kind == "array" else _scalar_maker
    return maker_of(np.dtype(name)) if is_numpys(name) else partial(_of_ml_dtypes, maker_of, name)


def _of_ml_dtypes(maker_of: Callable[[Any], Callable[..., Any]], name: str, *arguments: Any) -> Any:
    """Import ml_dtypes when something is built: a process that only passes a snapshot on does not need it."""
    return maker_of(of_ml_dtypes(name))(*arguments)


def _array_maker(dtype: np.dtype[Any]) -> MakeArray:
    """Return the maker of a read-only array that shares the memory of its buffer.

    A `partial`, not a nested function: where memory runs out while CPython 3.12 creates a function, it
    corrupts other objects.
    """
    import numpy as np

    return partial(_texts, dtype) if dtype.kind in "SU" else partial(_array, np.ndarray, dtype)


def _array(ndarray: Any, dtype: Any, shape: tuple[int, ...], buffer: Any, offset: int) -> Any:
    return ndarray(shape, dtype, buffer, offset)


def _texts(dtype: np.dtype[Any], shape: tuple[int, ...], buffer: Any, offset: int) -> np.ndarray[Any, Any]:
    import numpy as np

    # Items of 0 bytes take no memory, so any number of them passes the checks of sizes, and numpy's own
    # count of them would overflow.
    if math.prod(shape) > sys.maxsize:
        raise ValueError(f"an array of shape {shape} is too large")
    array = np.ndarray(shape, dtype, buffer, offset)
    _check_characters(dtype, buffer, offset, array.nbytes)
    return array


def _check_characters(dtype: np.dtype[Any], buffer: Any, offset: int, size: int) -> None:
    """Refuse characters above U+10FFFF: Python has none, but numpy would build strings with them."""
    import numpy as np

    if dtype.kind == "U" and size:
        codes = np.ndarray(size // 4, f"{dtype.str[0]}u4", buffer, offset)
        if codes.max() > sys.maxunicode:
            raise ValueError("a character beyond Unicode")


def _scalar_maker(dtype: np.dtype[Any]) -> Callable[[bytes], Any]:
    import numpy as np

    return partial(_scalar, np.ndarray, dtype)


def _scalar(ndarray: Any, dtype: Any, data: bytes) -> Any:
    _check_characters(dtype, data, 0, dtype.itemsize)
    return ndarray((), dtype, data)[()]


def _tensor_maker(name: str, itemsize: int) -> MakeArray:
    """Return the maker of a tensor with memory of its own: tensors cannot be read-only, so each is a copy.

    Without torch, or where torch is too old for the dtype, it makes an array. Dtypes that numpy lacks are
    widened to float32 (complex ones to complex64), which holds each of their values exactly.
    """
    if TENSOR_ITEMSIZE.get(name) != itemsize:
        raise ValueError(f"{name!r} of {itemsize} bytes is not a dtype of a tensor")
    try:
        import torch

        dtype = getattr(torch, name)
    except (ImportError, AttributeError):
        return partial(_without_torch, name, itemsize)
    return partial(_tensor, torch, dtype, itemsize)


def _tensor(torch: Any, dtype: Any, itemsize: int, shape: tuple[int, ...], buffer: Any, offset: int) -> Any:
    import numpy as np

    size = math.prod(shape) * itemsize
    if not size:
        with warnings.catch_warnings():  # that few operators support the dtype: the learner chose it
            warnings.simplefilter("ignore", UserWarning)
            return torch.empty(shape, dtype=dtype)
    own = np.frombuffer(buffer, np.uint8, size, offset).copy()
    return torch.from_numpy(own).view(dtype).reshape(shape)


def _without_torch(name: str, itemsize: int, shape: tuple[int, ...], buffer: Any, offset: int) -> Any:
    import numpy as np

    count = math.prod(shape)
    if name in ("bfloat16", "bcomplex32"):  # the upper half of a float32: this needs no package
        halves = np.frombuffer(buffer, np.uint16, count * itemsize // 2, offset)
        parts = (halves.astype(np.uint32) << 16).view(np.float32)
        return (parts if name == "bfloat16" else parts.view(np.complex64)).reshape(shape)
    if name == "complex32":
        halves = np.frombuffer(buffer, np.float16, 2 * count, offset)
        return halves.astype(np.float32).view(np.complex64).reshape(shape)
    if name.startswith("float8"):
        return np.frombuffer(buffer, of_ml_dtypes(name), count, offset).astype(np.float32).reshape(shape)
    return np.frombuffer(buffer, np.dtype(name), count, offset).reshape(shape)
