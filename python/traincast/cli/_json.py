"""JSON as every command writes it: strict, and printable in any encoding."""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Mapping
from typing import Any, TextIO

__all__ = ["json_value", "print_json"]


def print_json(value: Any, *, indent: int | None = None, file: TextIO | None = None) -> None:
    """Print a value as JSON on one line, or indented; flushed at once, as a program may wait for it."""
    out = sys.stdout if file is None else file
    # The escapes that the stream itself would write are not valid in JSON.
    plain = not (out.encoding or "ascii").lower().startswith("utf")
    print(
        json.dumps(json_value(value), ensure_ascii=plain, allow_nan=False, indent=indent),
        file=out,
        flush=True,
    )


def json_value(value: Any) -> Any:
    """Return a value in types that JSON has.

    Tuples and arrays become lists, keys strings, dates ISO strings, complex numbers `[real, imaginary]`,
    bytes `{"base64": ...}`. JSON has neither NaN nor infinities: they become the strings `NaN`, `Infinity`
    and `-Infinity`.
    """
    if isinstance(value, Mapping):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(inner) for inner in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        if getattr(value.dtype, "kind", "") in "mM":
            return json_value(value.astype(str).tolist())
        return json_value(value.tolist())
    if isinstance(value, complex):
        return [json_value(value.real), json_value(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
