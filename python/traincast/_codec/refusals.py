"""The error text for an object that cannot be published: its type, and what to publish instead.

The remedy follows from the attributes that the object's classes define. The object itself is not asked,
because a `__getattr__` may answer to any name.
"""

from __future__ import annotations

from collections.abc import Iterable, MappingView, Set
from enum import Enum
from types import ModuleType
from typing import Any

__all__ = ["has", "is_dataclass", "refuse", "refuse_root", "type_name"]

# Attributes of types that can give a dictionary, and the call to suggest. The first match counts.
_DICTIONARIES = {
    "model_dump": ".model_dump()",
    "__attrs_attrs__": "attrs.asdict(...)",
    "__struct_fields__": "msgspec.structs.asdict(...)",
    "to_container": ".to_container()",
    "to_dict": ".to_dict()",
    "_asdict": "._asdict()",
    "asdict": ".asdict()",
    "as_dict": ".as_dict()",
    "state_dict": ".state_dict()",
}

# The same for any value. A data frame has both `to_numpy` and `to_dict`: an array is suggested first.
_VALUES = {
    "__fspath__": "str(...)",
    "toarray": ".toarray()",
    "to_numpy": ".to_numpy()",
    "__array__": "numpy.asarray(...)",
    "__array_interface__": "numpy.asarray(...)",
    "__cuda_array_interface__": "torch.as_tensor(...)",
    **_DICTIONARIES,
    "tolist": ".tolist()",
    "to_list": ".to_list()",
    "total_seconds": ".total_seconds(), or numpy.timedelta64(...)",
    "toordinal": ".isoformat(), or numpy.datetime64(...)",
    "isoformat": ".isoformat()",
    "__index__": "int(...)",
    "__float__": "float(...), or str(...) to keep every digit",
    "__int__": "int(...) or str(...)",
    "__complex__": "numpy.complex128(...), or a tuple of two floats",
    "__await__": "await ...",
    "__aiter__": "a list of what it yields",
    "with_traceback": "repr(...)",
    "newbyteorder": "str(...)",
    "bit_generator": ".bit_generator.state",
    "getstate": ".getstate()",
    "get_state": ".get_state()",
    "read_if_changed": ".read()",
    "value": ".value",
}

_DICT = "dict(...)"
_KNOWN = "numbers, str, bytes, list, tuple, dict, numpy arrays or torch tensors"


def type_name(value: Any) -> str:
    """Return the name of a value's class, with its module unless it is a builtin."""
    kind = type(value)
    module = getattr(kind, "__module__", "builtins")
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def has(value: Any, name: str) -> bool:
    """Whether the class of a value, or one of its bases, defines an attribute of that name."""
    return any(name in vars(base) for base in type(value).__mro__)


def is_dataclass(value: Any) -> bool:
    """Whether it is an instance of a dataclass."""
    return has(value, "__dataclass_fields__")


def refuse(value: Any) -> str:
    """Return the sentence that refuses a value."""
    return f"{type_name(value)} is not supported; {_remedy(value)}"


def refuse_root(value: Any) -> str:
    """Return the sentence that refuses to publish what is not a dictionary."""
    call = _first(_DICTIONARIES, value)
    if call is None and _first(_VALUES, value) is None:
        items = _items(value)
        call = _attributes(value) if items is None else items if items == _DICT else None
    return f"a snapshot is a dictionary, not {type_name(value)}" + (f"; use {call}" if call else "")


def _remedy(value: Any) -> str:
    if isinstance(value, type) or (callable(value) and isinstance(getattr(value, "__name__", None), str)):
        return "publish its name"
    call = _first(_VALUES, value) or _items(value)
    if call is None and callable(value):
        fields = ", or dataclasses.asdict(...)" if is_dataclass(value) else ""
        return f"publish what it returns{fields}"
    call = call or _attributes(value)
    if call is None:
        return f"use {_KNOWN}, or open the writer with default=, a function that returns one of them"
    return f"use {call}"


def _first(calls: dict[str, str], value: Any) -> str | None:
    return next((call for name, call in calls.items() if has(value, name)), None)


def _items(value: Any) -> str | None:
    """The call that takes out the items of a container, the bytes of a buffer, the content of a file."""
    try:
        memoryview(value).release()
    except Exception:  # no buffer, or one that cannot be lent now
        pass
    else:
        return "bytes(...), or numpy.asarray(...) to keep its numbers"
    if has(value, "readline"):
        return ".read()"
    if has(value, "keys") and has(value, "__getitem__"):
        return _DICT
    if isinstance(value, Set) and not isinstance(value, MappingView):
        return "list(...), or sorted(...) for the same order each time"
    if isinstance(value, Iterable) or (has(value, "__getitem__") and has(value, "__len__")):
        return "list(...)"
    return None


def _attributes(value: Any) -> str | None:
    """The call that gives the attributes of an object that mainly holds some, such as a namespace."""
    kind = type(value)
    if isinstance(value, (Enum, ModuleType)) or callable(value):
        return None
    if kind.__dictoffset__:
        return "vars(...)"
    slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    return "a dictionary of its attributes" if slots else None
