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
    """Write what came out; plain text if the console is no terminal."""
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.ASCII, pad_edge=False)
    table.add_column("MountainCar, sparse reward")
    columns = ["steps", "episodes", "success", "by seed", "info age", "99 %"]
    for column in columns:
        table.add_column(column, justify="right")
    for s in summaries:
        table.add_row(
            "with the curriculum" if s.arm == CURRICULUM else "the same without it",
            f"{s.steps:,}",
            f"{s.resets:,}",
            f"{s.success:.0%}",
            " ".join(f"{100 * x:.0f}" for x in s.success_by_seed),
            milliseconds(s.info_age),
            milliseconds(s.info_age_99),
            style=("green" if s.arm == CURRICULUM else "yellow"),
        )
    console.print(table)
