"""The names of dtypes in a snapshot.

numpy's own dtypes are named by `dtype.str` (`"<f8"`), those of ml_dtypes and torch by their name
(`"bfloat16"`).
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from traincast._optional import missing

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TENSOR_ITEMSIZE", "check_name", "is_numpys", "name_of", "of_ml_dtypes"]

# bool, integers, floats, complex, datetime64, timedelta64, bytes, str. No objects, no structures; and no time
# unit with the multiple 0, by which numpy would divide.
_NUMPY = re.compile(r"[|<>]([biufcSU][0-9]{1,10}|[mM]8(\[([1-9][0-9]{0,9})?([YMWDhms]|[munpfa]s)\])?)")

# Later versions of ml_dtypes may add dtypes of these kinds. Their items have one byte, apart from these:
_ML_DTYPES = re.compile(r"b?complex32|bfloat16|float[468]_e[0-9]m[0-9][a-z0-9]{0,8}|u?int[124]")
_ML_ITEMSIZE = {"bfloat16": 2, "complex32": 4, "bcomplex32": 4}

# The item sizes in bytes of torch's dtypes, without the quantized ones.
TENSOR_ITEMSIZE = {
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


@lru_cache(maxsize=256)  # numpy computes a dtype's name at each access
def name_of(dtype: np.dtype[Any]) -> str | None:
    """Return the name of a numpy dtype; None if its arrays cannot be published."""
    import numpy as np

    name = dtype.name
    if dtype.type is getattr(sys.modules.get("ml_dtypes"), name, None):
        known = dtype.isnative and _ML_DTYPES.fullmatch(name) and dtype.itemsize == _ml_itemsize(name)
        return name if known else None
    try:
        # The dtypes of other packages may give any string: that of `float8_e5m2` is `<f1`.
        return dtype.str if _NUMPY.fullmatch(dtype.str) and np.dtype(dtype.str) == dtype else None
    except TypeError:
        return None


def is_numpys(name: str) -> bool:
    """Whether a checked name is that of one of numpy's own dtypes."""
    return name[0] in "|<>"


def check_name(name: str, itemsize: int) -> None:
    """Check that `name_of` could have returned a name that was read from shared memory.

    Raises:
        ValueError: it could not.
    """
    # Nothing else may reach np.dtype: `np.dtype("<M8[s/0]")` crashes the process, and the bytes of an object
    # array would be used as pointers.
    if _ML_DTYPES.fullmatch(name):
        if itemsize == _ml_itemsize(name):
            return
    elif _NUMPY.fullmatch(name):
        import numpy as np

        try:
            dtype = np.dtype(name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name!r} is not a dtype") from error
        if dtype.itemsize == itemsize and dtype.str == name:
            return
    raise ValueError(f"{name!r} of {itemsize} bytes is not a dtype that a snapshot can hold")


@lru_cache(maxsize=64)
def of_ml_dtypes(name: str) -> np.dtype[Any]:
    """Return the dtype of ml_dtypes with this name, which must have been checked.

    Raises:
        ImportError: ml_dtypes is not installed, or too old for it.
    """
    import numpy as np

    try:
        import ml_dtypes
    except ModuleNotFoundError as error:
        raise missing(error, "ml_dtypes", "ml-dtypes", f"an array of {name}") from error
    try:
        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    except AttributeError as error:
        message = f"an array of {name} needs a newer ml_dtypes: pip install --upgrade ml_dtypes"
        raise ImportError(message, name="ml_dtypes") from error
    return dtype


def _ml_itemsize(name: str) -> int:
    return _ML_ITEMSIZE.get(name, 1)
