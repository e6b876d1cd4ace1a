"""The command `traincast get`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

import traincast
from traincast.cli._output import console
from traincast.cli._values import flatten, full_text, json_value, look_up, short_text

__all__ = ["get"]


def get(
    name: Annotated[str, typer.Argument(help="The channel.")],
    key: Annotated[
        str | None, typer.Argument(help="One value; dots lead into it: coefficients.goal.")
    ] = None,
    policy: Annotated[int, typer.Option(help="The policy of the run.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, arrays in full.")] = False,
) -> None:
    """Print the newest training information of a channel, or one value of it."""
    with traincast.TrainingInfoReader(name, policy) as reader:
        info = reader.read()
    if as_json:
        print(json.dumps(json_value(info if key is None else look_up(info, key)), ensure_ascii=False))
        return
    value = info if key is None else look_up(info, key)
    if isinstance(value, dict):
        leaves = [(name, short_text(leaf)) for name, leaf in flatten(value)]
        width = max((len(name) for name, _ in leaves), default=0)
        out = console()
        for name, text in leaves:
            if out.is_terminal:
                out.print(
                    Text(f"{name:<{width}}  ", style="dim").append(text, style="default"), soft_wrap=True
                )
            else:
                print(f"{name:<{width}}  {text}")
    else:
        print(full_text(value))
