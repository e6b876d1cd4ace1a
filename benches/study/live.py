"""Progress on the terminal: a live table, and plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from benches.study.job import Job
from benches.study.results import Result
from benches.study.table import arm_name

__all__ = ["Display", "display"]

_SHOWN = 12  # finished trainings in the table
_PLAIN_INTERVAL = 10.0  # seconds


class Display:
    """Receives the progress."""

    def __init__(self, total: int, console: Console, live: Live | None) -> None:
        self._total, self._console, self._live = total, console, live
        self._ended: list[Result] = []
        self._began = time.monotonic()
        self._said = 0.0

    def progress(self, job: Job, steps: int, level: int, seconds: float) -> None:
        """A training has made progress."""
        if self._live is not None:
            self._live.update(self._view((job, steps, level, seconds)), refresh=True)
        elif time.monotonic() >= self._said + _PLAIN_INTERVAL:
            self._said = time.monotonic()
            self._console.print(
                f"  {_named(job)}: {steps:,} env steps, level {level}", highlight=False, soft_wrap=True
            )

    def ended(self, result: Result) -> None:
        """A training has ended."""
        self._ended.append(result)
        if self._live is None:
            self._said = time.monotonic()
            place = f"{len(self._ended)} of {self._total}"
            self._console.print(
                f"{place}  {_named(result.job)}: {_said(result)}", highlight=False, soft_wrap=True
            )

    def _view(self, running: tuple[Job, int, int, float]) -> Table:
        minutes = (time.monotonic() - self._began) / 60
        title = f"Training {len(self._ended) + 1} of {self._total}, {minutes:.1f} minutes"
        table = Table("task", "arm", "seed", title=title, box=box.SIMPLE_HEAD)
        for column in ("env steps", "level", "steps/s"):
            table.add_column(column, justify="right")
        table.add_column("")
        for result in self._ended[-_SHOWN:]:
            job = result.job
            speed = f"{result.speed:,.0f}"
            cells = (f"{result.steps:,}", str(result.promotions), speed, _said(result))
            table.add_row(job.task, arm_name(job.arm), str(job.seed), *cells, style="dim")
        job, steps, level, seconds = running
        speed = f"{steps / max(seconds, 1e-3):,.0f}"
        table.add_row(job.task, arm_name(job.arm), str(job.seed), f"{steps:,}", str(level), speed, "running")
        return table


@contextmanager
def display(total: int, console: Console) -> Iterator[Display]:
    """Show the progress of this number of trainings."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield Display(total, console, live)
    else:
        yield Display(total, console, None)


def _named(job: Job) -> str:
    return f"{job.task}, {arm_name(job.arm)}, seed {job.seed}"


def _said(result: Result) -> str:
    solved = "solved" if result.solved else "not solved"
    slow = "" if result.held else f", at {result.speed:,.0f} steps/s in place of {result.job.rate:,.0f}"
    return f"{solved} after {result.steps:,} env steps{slow}"
