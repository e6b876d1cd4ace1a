"""The table at the end of the demo."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from traincast.demo.display import milliseconds
from traincast.demo.settings import CURRICULUM
from traincast.demo.summary import Summary

__all__ = ["write_report"]


def write_report(summaries: Sequence[Summary], seconds: float, console: Console) -> None:
    """Write what came out; plain text if the console is no terminal.

    Args:
        summaries: of the arms.
        seconds: how long it took.
        console: where to.
    """
    rows = [_row(summary) for summary in summaries]
    columns = ["MountainCar", "success", "by seed", "episodes", "info age", "99 % below"]
    if console.is_terminal:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for summary, row in zip(summaries, rows, strict=True):
            table.add_row(*row, style="green" if summary.arm == CURRICULUM else "yellow")
        console.print(table)
    else:
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    steps = sum(summary.steps for summary in summaries) * len(summaries[0].success_by_seed)
    print(
        f"{steps:,} env steps in {seconds:.1f} s.\n"
        "Success: of the latest greedy episodes from the real start.\n"
        "Info age: of the training information that an env holds when it resets."
    )


def _row(summary: Summary) -> list[str]:
    return [
        "with the curriculum" if summary.arm == CURRICULUM else "the same without it",
        f"{summary.success:.0%}",
        " ".join(f"{100 * success:.0f}" for success in summary.success_by_seed),
        f"{summary.resets:,}",
        milliseconds(summary.info_age),
        milliseconds(summary.info_age_99),
    ]
