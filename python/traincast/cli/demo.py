"""The command `traincast demo`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from traincast.cli._arguments import AsJson
from traincast.cli._failures import ShellError, report
from traincast.cli._json import print_json
from traincast.cli._tables import Column, console, print_table

__all__ = ["demo"]


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the picture goes.")] = Path(
        "traincast-demo.png"
    ),
    dark: Annotated[Path | None, typer.Option(help="Where a version for dark pages goes.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 8,
    seeds: Annotated[
        int, typer.Option(min=1, max=20, help="Trainings with the curriculum, and as many without.")
    ] = 5,
    steps: Annotated[int, typer.Option(min=1000, help="Env steps of each training.")] = 120_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train MountainCar in worker processes, with and without a curriculum that follows broadcast progress.

    Ends with a table and a picture. With --json the results are JSON on stdout, and progress goes to stderr.
    """
    missing = [name for name in ("gymnasium", "matplotlib") if find_spec(name) is None]
    if missing:
        error = ShellError(f"the demo needs {' and '.join(missing)}")
        error.add_note("pip install 'traincast[demo]'")
        raise error
    for option, path in {"--output": output, "--dark": dark}.items():
        if path and (not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK)):
            error = ShellError(f"cannot write a picture to {path}")
            error.add_note(f"pass another {option}")
            raise error

    from traincast.demo.display import progress_display
    from traincast.demo.report import TITLES, notes, rows, summary_dict
    from traincast.demo.settings import CURRICULUM, Settings
    from traincast.demo.summary import summarize
    from traincast.demo.training import Interrupted, WorkerDiedError, train

    settings = Settings(workers=workers, seeds=seeds, steps=steps, seed=seed)
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        print(
            f"MountainCar, reward at the goal only, in {workers} worker processes.\n"
            f"Trainings of {steps:,} env steps: {seeds} with a curriculum, {seeds} without it."
        )
        out = console()
        started = time.monotonic()
        try:
            with progress_display(settings, out) as progress:
                learners = train(settings, progress)
        except Interrupted as interrupted:
            code = 128 + interrupted.number
            report(
                "interrupted: all worker processes have ended, all channels are removed", "Interrupted", code
            )
            raise typer.Exit(code) from None
        except WorkerDiedError as error:
            raise ShellError(str(error)) from None
        seconds = time.monotonic() - started

    summaries = summarize(learners, settings)
    if not as_json:
        styles = ["green" if summary.arm == CURRICULUM else "yellow" for summary in summaries]
        print_table(
            out,
            [Column(title, right=i > 0) for i, title in enumerate(TITLES)],
            [
                [Text(cell, style=style) for cell in row]
                for row, style in zip(rows(summaries), styles, strict=True)
            ],
        )
        print(notes(summaries, seconds))

    from traincast.demo.picture import draw  # loads matplotlib: a second that the training need not wait for
    from traincast.demo.themes import DARK

    draw(learners, settings, output)
    if dark:
        draw(learners, settings, dark, DARK)
    picture = str(output.resolve())
    if as_json:
        print_json({**summary_dict(summaries, settings, seconds), "picture": picture}, indent=2)
    else:
        print(f"Picture: {picture}")
        if dark:
            print(f"For dark pages: {dark.resolve()}")
