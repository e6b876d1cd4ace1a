"""Tables for terminals. By hand: the gates run in environments that hold little more than pytest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def plain(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they must be: the first to the left, the figures to the right."""
    rows = [list(head), *(list(line) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        name, *figures = cells
        padded = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        return "  ".join([name.ljust(widths[0]), *padded]).rstrip()

    return "\n".join(map(line, rows))
