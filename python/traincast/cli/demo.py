"""The command `traincast demo`."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from traincast.cli._output import console

__all__ = ["demo"]


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the picture goes.")] = Path(
        "traincast-demo.png"
    ),
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 8,
    seeds: Annotated[
        int, typer.Option(min=1, max=20, help="Trainings with the curriculum, and without.")
    ] = 5,
    steps: Annotated[int, typer.Option(min=1000, help="Env steps of each training.")] = 120_000,
    seed: Annotated[int, typer.Option(min=0, help="Where random numbers come from.")] = 0,
) -> None:
    """Train MountainCar in worker processes, with a curriculum that broadcast progress drives and without."""
    missing = [name for name in ("gymnasium", "matplotlib") if find_spec(name) is None]
    if missing:
        print(
            f"traincast: the demo needs {' and '.join(missing)}: pip install 'traincast[demo]'",
            file=sys.stderr,
        )
        raise typer.Exit(1)
    if not output.parent.is_dir() or output.is_dir() or not os.access(output.parent, os.W_OK):
        print(f"traincast: cannot write a picture to {output}: pass another --output", file=sys.stderr)
        raise typer.Exit(1)

    from traincast.demo.display import progress_display
    from traincast.demo.report import write_report
    from traincast.demo.settings import Settings
    from traincast.demo.summary import summarize
    from traincast.demo.training import Interrupted, WorkerDiedError, train

    settings = Settings(workers=workers, seeds=seeds, steps=steps, seed=seed)
    out = console()
    print(
        f"MountainCar, reward at the goal only, in {workers} worker processes.\n"
        f"Trainings of {steps:,} env steps: {seeds} with a curriculum, {seeds} without it."
    )
    started = time.monotonic()
    try:
        with progress_display(settings, out) as progress:
            learners = train(settings, progress)
    except Interrupted as interrupted:
        print("Interrupted: all worker processes have ended, all channels are removed.", file=sys.stderr)
        raise typer.Exit(128 + interrupted.number) from None
    except WorkerDiedError as error:
        print(f"traincast: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    seconds = time.monotonic() - started
    write_report(summarize(learners, settings), seconds, out)

    from traincast.demo.picture import draw  # loads matplotlib: a second that the training need not wait for

    draw(learners, settings, output)
    print(f"Picture: {output.resolve()}")
