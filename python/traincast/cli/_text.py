"""Text for a terminal that may know ASCII only: what it cannot show is escaped, what is too long is cut."""

from __future__ import annotations

import codecs
import sys
from datetime import timedelta

import humanize
from rich.cells import cell_len, set_cell_size

__all__ = ["age", "encoding", "lines_printable", "printable", "shorten", "shorten_middle", "size"]


def encoding() -> str:
    """Return the name of stdout's encoding: `ascii`, `iso8859-1`, `utf-8`."""
    stdout = sys.__stdout__ or sys.__stderr__  # not sys.stdout, which may be redirected for a while
    return codecs.lookup(stdout.encoding if stdout is not None else "ascii").name


def printable(text: str, to: str | None = None) -> str:
    r"""Return text on one line: control characters, and what the encoding `to` lacks, as `\x1b`, `\u2026`.

    A value or a command line may hold anything, and a terminal obeys some of it. `to` is stdout's encoding
    by default.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    to = to or encoding()
    return text.encode(to, "backslashreplace").decode(to)


def lines_printable(text: str) -> str:
    """Return text of several lines as `printable` does; tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _ellipsis() -> str:
    return "…" if encoding().startswith("utf") else "..."


def shorten(text: str, width: int) -> str:
    """Return text that takes at most `width` columns, cut at its end."""
    if cell_len(text) <= width:
        return text
    mark = _ellipsis()
    return f"{set_cell_size(text, max(width - len(mark), 0)).rstrip()}{mark}"


def shorten_middle(text: str, width: int) -> str:
    """Return text that takes at most `width` columns, cut in its middle: names often differ at both ends."""
    if cell_len(text) <= width:
        return text
    mark = _ellipsis()
    left = max(width - len(mark), 0)
    tail = left // 2
    end = text[len(text) - tail :]
    while cell_len(end) > tail:
        end = end[1:]
    return f"{set_cell_size(text, left - tail).rstrip()}{mark}{end}"


def age(seconds: float) -> str:
    """Return a duration in the unit that suits it: `12 ms`, `3.4 s`, `5 minutes`, `2 hours`, `3 days`."""
    seconds = max(round(seconds, 3), 0.0)  # no microseconds: publish times are rounded to clock ticks
    if seconds < 120:
        return "0 s" if seconds == 0 else humanize.metric(seconds, "s", precision=2)
    delta = timedelta(seconds=min(seconds, 1e12))
    if seconds < 7200:
        return humanize.precisedelta(delta, minimum_unit="minutes", suppress=["hours"], format="%.0f")
    return humanize.naturaldelta(delta)


def size(number: int) -> str:
    """Return a number of bytes in the unit that suits it: `900 B`, `264 KiB`, `1.5 MiB`."""
    return (
        humanize.naturalsize(number, binary=True)
        .replace(".0 ", " ")
        .replace(" Bytes", " B")
        .replace(" Byte", " B")
    )
