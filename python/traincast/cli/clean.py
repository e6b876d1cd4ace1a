"""The command `traincast clean`."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from traincast import _core
from traincast.cli._arguments import AsJson
from traincast.cli._failures import FAILED, report, report_error
from traincast.cli._json import print_json
from traincast.cli._tables import Column, console, print_table
from traincast.cli._text import printable, size
from traincast.errors import TraincastError

__all__ = ["clean"]

_COLUMNS = [
    Column("FILE", least=12),
    Column("SIZE", right=True, spare=1),
    Column("WHY", least=12, flexible=True),
]


def clean(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what dead writers left; live channels are never touched.

    It lists the files and asks before it removes them. Where nobody can answer, and with --json, it removes
    them only with --yes.
    """
    directories = _core.directories()
    leftovers = sorted(_core.leftovers(), key=lambda leftover: str(leftover["path"]))
    files = [{**leftover, "removed": False} for leftover in leftovers]
    if files and not as_json:
        rows = [[printable(os.path.basename(x["path"])), size(x["size"]), printable(x["why"])] for x in files]
        print_table(console(), _COLUMNS, rows)
    count = "1 file" if len(files) == 1 else f"{len(files)} files"
    total = f"{count}, {size(sum(file['size'] for file in files))}"
    confirmed = yes or not files or _confirmed(total, " or ".join(directories), as_json)
    removals = [_remove(file, as_json) for file in files] if confirmed else [False]
    if as_json:
        print_json({"directories": directories, "files": files}, indent=2)
    elif not files:
        print(f"Nothing to remove in {' or '.join(directories)}.")
    elif confirmed:
        print(f"Removed {sum(file['removed'] for file in files)} of {total}.")
    if not all(removals):
        raise typer.Exit(FAILED)


def _confirmed(total: str, directory: str, as_json: bool) -> bool:
    if as_json or sys.stdin is None or not sys.stdin.isatty():
        text = f"{total} in {directory}: nothing is removed without --yes"
        report(text, "ConfirmationNeeded", FAILED, "pass --yes to remove what is listed")
        return False
    if typer.confirm(f"Remove {total} from {directory}?"):
        return True
    print("Nothing removed.")
    return False


def _remove(file: dict[str, Any], as_json: bool) -> bool:
    """Remove a file; `False` if that failed. A file that is in use again stays, which is not a failure."""
    path = file["path"]
    try:
        # The files of a channel are removed together: this one may be gone already.
        file["removed"] = _core.remove_leftover(path) or not os.path.lexists(path)
    except (OSError, TraincastError) as error:
        report_error(error)
        return False
    if not file["removed"] and not as_json:
        print(f"Kept {path}: it is in use again.")
    return True
