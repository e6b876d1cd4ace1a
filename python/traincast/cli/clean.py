"""The command `traincast clean`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from traincast import _core
from traincast.cli._output import console, print_table, size
from traincast.errors import TraincastError

__all__ = ["clean"]


def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove what dead writers left; live channels are never touched."""
    leftovers = sorted(_core.leftovers(), key=lambda leftover: str(leftover["path"]))
    if not leftovers:
        print(f"Nothing to remove in {' or '.join(_core.directories())}.")
        return
    directory = " and ".join(sorted({os.path.dirname(leftover["path"]) for leftover in leftovers}))
    rows = [[os.path.basename(x["path"]), size(x["size"]), x["why"]] for x in leftovers]
    print_table(console(), ["FILE", "SIZE", "WHY"], rows)
    count = "1 file" if len(leftovers) == 1 else f"{len(leftovers)} files"
    total = f"{count}, {size(sum(leftover['size'] for leftover in leftovers))}"
    if not yes:
        if not sys.stdin.isatty():
            print(f"traincast: {total} in {directory}: pass --yes to remove what is listed", file=sys.stderr)
            raise typer.Exit(1)
        if not typer.confirm(f"Remove {total} from {directory}?"):
            print("Nothing removed.")
            raise typer.Exit(1)
    removed = 0
    for leftover in leftovers:
        path = leftover["path"]
        try:
            gone = _core.remove_leftover(path) or not os.path.lexists(path)  # files of a channel go together
        except (OSError, TraincastError) as error:
            print(f"traincast: {error}", file=sys.stderr)
            gone = False
        else:
            if not gone:
                print(f"Kept {path}: it is in use by now.")
        removed += gone
    print(f"Removed {removed} of {total}.")
