"""The commands, each from a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from traincast.cli._output import INTERRUPTED
from traincast.cli.clean import clean
from traincast.cli.demo import demo
from traincast.cli.get import get
from traincast.cli.ls import ls
from traincast.cli.watch import watch

__all__ = ["app"]

app = typer.Typer(
    name="traincast",
    help="Look at the training information that learners on this machine broadcast to their envs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"traincast {version('traincast')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _until_interrupted(command: Callable[..., None]) -> Callable[..., None]:
    """End with the exit code that a shell reports for Ctrl-C, and without a message."""

    @wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


for _command in (ls, get, watch, clean, demo):
    app.command()(_until_interrupted(_command))
