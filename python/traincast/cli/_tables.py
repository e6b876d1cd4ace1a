"""Tables that fit the terminal: the columns that matter least are left out before any cell is shortened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from traincast.cli._text import shorten, shorten_middle

__all__ = ["Cell", "Column", "console", "fit", "fitted", "print_table"]

Cell = str | Text

_UNLIMITED = 100_000  # the width where stdout is not a terminal
_GAP = 2  # spaces between two columns
_DEAR = 2  # a column with a `spare` up to this matters more than a name in full


@dataclass(frozen=True)
class Column:
    """A column, and what may happen to it where the terminal is too narrow."""

    title: str
    right: bool = False
    """Right-aligned: a number."""
    spare: int = 0
    """Columns with a higher number are left out sooner; 1 and 2 after names have been shortened; 0 never."""
    least: int = 0
    """The width to which its cells may be shortened; 0: never."""
    keeps_start: bool = False
    """Whether they are cut at their end; otherwise in the middle, because names often differ at both ends."""
    flexible: bool = False
    """Whether its cells are shortened before any column is left out, not after."""


def console() -> Console:
    """Return a console for stdout: plain if that is not a terminal.

    Output to a file or a pipe is never cut, whatever `COLUMNS` says: a parent process that uses readline sets
    it for all of its children.
    """
    out = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    if not out.is_terminal:
        out.width = _UNLIMITED
    return out


def fit(columns: Sequence[Column], widths: Sequence[int], room: int) -> dict[int, int]:
    """Return the indices of the columns that are shown, and how wide each is.

    Args:
        columns: all of them.
        widths: what each needs, its title included.
        room: columns of the terminal.
    """
    shown = dict(enumerate(widths))

    def excess() -> int:
        return sum(shown.values()) + _GAP * (len(shown) - 1) - room

    def squeeze(flexible: bool) -> None:
        for i in shown:
            if columns[i].least and columns[i].flexible == flexible:
                shown[i] = max(min(shown[i], columns[i].least), shown[i] - max(excess(), 0))

    def leave_out(lowest: int) -> None:
        spare = [i for i in shown if columns[i].spare >= lowest]
        for i in sorted(spare, key=lambda i: -columns[i].spare):
            if excess() > 0:
                del shown[i]

    squeeze(flexible=True)
    leave_out(_DEAR + 1)
    squeeze(flexible=False)
    leave_out(1)
    for i in shown:  # a column that was left out may have freed more room than was needed
        if columns[i].least:
            shown[i] = min(widths[i], shown[i] + max(-excess(), 0))
    return shown


def print_table(
    out: Console, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], titles: bool = True
) -> None:
    """Print a table with its columns two spaces apart, and the names of columns that were left out.

    rich's own tables take 0.3 ms a row, and snapshots may have thousands of keys.
    """
    heads = [[Text(column.title, style="bold") for column in columns]] if titles else []
    lines, left_out = fitted(columns, [*heads, *rows], out.width)
    for line in lines:
        if out.is_terminal:
            out.print(line, soft_wrap=True)
        else:
            print(line.plain)
    if left_out:
        print(f"No room for {', '.join(left_out)}: see --json.")


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int
) -> tuple[list[Text], list[str]]:
    """Return rows as lines that fit `room` columns if they can, and the titles of columns left out."""
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max((row[i].cell_len for row in cells), default=0) for i in range(len(columns))]
    shown = fit(columns, widths, room)
    gap = Text(" " * _GAP)
    lines = [gap.join(_padded(row[i], width, columns[i]) for i, width in shown.items()) for row in cells]
    for line in lines:
        line.rstrip()
    return lines, [column.title for i, column in enumerate(columns) if i not in shown]


def _padded(cell: Text, width: int, column: Column) -> Text:
    cut = shorten if column.keeps_start else shorten_middle
    text = Text(cut(cell.plain, width), style=cell.style)
    space = width - text.cell_len
    if column.right:
        text.pad_left(space)
    else:
        text.pad_right(space)
    return text
