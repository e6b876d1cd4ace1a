"""The names under which dtypes go through a channel.

numpy's own go by `dtype.str` (`"<f8"`), those of ml_dtypes by their name (`"bfloat16"`), torch's by theirs.
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

# bool, integers, floats, complex, datetime64, timedelta64, bytes, str. Not objects, not structured; no
# multiples of zero, which numpy divides by.
_NUMPY = re.compile(r"[|<>]([biufcSU][0-9]{1,10}|[mM]8(\[([1-9][0-9]{0,9})?([YMWDhms]|[munpfa]s)\])?)")

# A later version of ml_dtypes may have more of the same kinds: of a byte each, except for these.
_ML_DTYPES = re.compile(r"b?complex32|bfloat16|float[468]_e[0-9]m[0-9][a-z0-9]{0,8}|u?int[124]")
_ML_ITEMSIZE = {"bfloat16": 2, "complex32": 4, "bcomplex32": 4}

# torch's plain dtypes.
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


@lru_cache(maxsize=256)  # numpy works a dtype's name out each time
def name_of(dtype: np.dtype[Any]) -> str | None:
    """The name of a numpy dtype; None if its arrays cannot be published."""
    import numpy as np

    name = dtype.name
    if dtype.type is getattr(sys.modules.get("ml_dtypes"), name, None):
        known = dtype.isnative and _ML_DTYPES.fullmatch(name) and dtype.itemsize == _ml_itemsize(name)
        return name if known else None
    try:
        # Other packages' dtypes may call themselves anything: `float8_e5m2` says `<f1`.
        return dtype.str if _NUMPY.fullmatch(dtype.str) and np.dtype(dtype.str) == dtype else None
    except TypeError:
        return None


def is_numpys(name: str) -> bool:
    """Whether a name that was checked is that of a dtype of numpy's own."""
    return name[0] in "|<>"


def check_name(name: str, itemsize: int) -> None:
    """See whether a name that was read from shared memory is one that `name_of` gives.

    Raises:
        ValueError: it is not.
    """
    # numpy sees only what a writer may have sent: `np.dtype("<M8[s/0]")` ends the process, and an object
    # array would be a way in.
    if _ML_DTYPES.fullmatch(name):
        if itemsize == _ml_itemsize(name):
            return
    elif _NUMPY.fullmatch(name):
        import numpy as np

        try:
            dtype = np.dtype(name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name!r} is no dtype") from error
        if dtype.itemsize == itemsize and dtype.str == name:
            return
    raise ValueError(f"{name!r} of {itemsize} bytes is no dtype of a snapshot")


@lru_cache(maxsize=64)
def of_ml_dtypes(name: str) -> np.dtype[Any]:
    """The dtype of ml_dtypes that has this name, which was checked.

    Raises:
        ImportError: ml_dtypes is not installed, or too old to know it.
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
