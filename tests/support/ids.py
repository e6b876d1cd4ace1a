"""Names of test cases that are the same in every process, as sharing tests between processes needs."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """The representation of a value, without its address in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
