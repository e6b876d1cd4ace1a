"""Registers the commands, each of which has a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from traincast.cli._failures import FAILED, INTERRUPTED, USAGE, report
from traincast.cli.clean import clean
from traincast.cli.demo import demo
from traincast.cli.get import get
from traincast.cli.ls import ls
from traincast.cli.relay import relay
from traincast.cli.scores import scores
from traincast.cli.top import top
from traincast.cli.watch import watch

__all__ = ["app", "run"]

# click's UsageError. Newer versions of typer include a copy of click, so no import works with all of them.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="traincast",
    help="Look at the training information that learners on this machine broadcast to their envs.",
    epilog="Exit codes: 0 for success, 1 when something went wrong, 2 for wrong usage. With --json, an error "
    "is an object on stderr: error, type, hint, exit_code. Schemas of all JSON are in the package: "
    "traincast/cli/schemas.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run() -> int:
    """Run the command line and return the exit code; only wrong usage is reported here."""
    try:
        return app(prog_name="traincast", standalone_mode=False) or 0
    except typer.Abort:
        report("aborted", "Abort", FAILED)
        return FAILED
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "traincast"
        text, _, near = error.format_message().partition(". Did you mean ")  # type: ignore[attr-defined]
        near = near.partition("?")[0]  # typer and click may both have added the question
        hint = f"did you mean {near}?" if near else f"see {command} --help"
        report(text.rstrip("."), "UsageError", USAGE, hint)
        return USAGE


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"traincast {version('traincast')}")
        raise typer.Exit


def _show_cflags(wanted: bool) -> None:
    if wanted:
        from traincast._native import cflags

        print(cflags())
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    cflags: Annotated[
        bool,
        typer.Option(
            "--cflags",
            callback=_show_cflags,
            is_eager=True,
            help="Print the compiler's option that finds traincast.h, and exit.",
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USAGE)


def _until_interrupted(command: Callable[..., None]) -> Callable[..., None]:
    """End with the exit code that a shell reports for Ctrl-C, and without a message."""

    @wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


for _command in (ls, top, get, watch, scores, relay, clean, demo):
    app.command()(_until_interrupted(_command))
