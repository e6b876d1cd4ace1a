"""Tables, sizes and ages, for people on a terminal and for programs behind a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["INTERRUPTED", "age", "console", "print_table", "size"]

INTERRUPTED = 130
"""The exit code that a shell reports for a program that Ctrl-C ended."""


def console() -> Console:
    """Return a console for stdout: plain if that is no terminal."""
    return Console(file=sys.stdout, highlight=False, emoji=False, markup=False)


def print_table(out: Console, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print a table; without a terminal: columns two spaces apart, no line ever cut or wrapped."""
    if out.is_terminal:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*row)
        out.print(table)
        return
    lines = [list(columns), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def age(seconds: float) -> str:
    """Return a duration in the unit that suits it: `12 ms`, `3.4 s`, `5 min`, `2.5 h`, `3 days`."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1e3:.0f} ms"
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {name}" if value < 10 else f"{value:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def size(number: int) -> str:
    """Return a number of bytes in the unit that suits it: `900 B`, `264 KiB`, `1.5 MiB`."""
    if number < 1024:
        return f"{number} B"
    value = float(number)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024 or unit == "GiB":
            break
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
