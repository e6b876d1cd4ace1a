"""Tables for terminals, without a package: the gates run in environments with little more than pytest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def plain(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table with columns as wide as needed: the first one left-aligned, the others right-aligned."""
    rows = [list(head), *(list(line) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        name, *figures = cells
        padded = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        return "  ".join([name.ljust(widths[0]), *padded]).rstrip()

    return "\n".join(map(line, rows))
