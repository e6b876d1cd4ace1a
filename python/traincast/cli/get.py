"""The command `traincast get`."""

from __future__ import annotations

from rich.text import Text

from traincast.cli._arguments import AsJson, Key, Name, Policy
from traincast.cli._channels import attach
from traincast.cli._json import print_json
from traincast.cli._tables import Cell, Column, console, print_table
from traincast.cli._text import lines_printable, printable
from traincast.cli._values import flatten, full_text, look_up, short_text

__all__ = ["get"]


def get(name: Name, key: Key = None, policy: Policy = 0, as_json: AsJson = False) -> None:
    """Print the newest training information of a channel, or one value of it."""
    with attach(name, policy) as reader:
        info = reader.read()
    value = info if key is None else look_up(info, key)
    if as_json:
        print_json(value)
        return
    out = console()
    if isinstance(value, dict):
        rows: list[list[Cell]] = [
            [Text(printable(name), style="dim"), short_text(leaf)] for name, leaf in flatten(value)
        ]
        print_table(out, [Column("KEY"), Column("VALUE")], rows, titles=False)
    else:
        text = full_text(value)
        print(lines_printable(text) if out.is_terminal else text)
