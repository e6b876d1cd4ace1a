"""The tables of a run, for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benches.cases import rows
from benches.harness.figures import Spread, ns


def written(spread: Spread, unit: str) -> tuple[str, str]:
    """Median and quartiles, with as many digits as are meaningful."""
    digits = 0 if unit or spread.median >= 100 else 2
    return f"{spread.median:,.{digits}f}", f"{spread.q1:,.{digits}f} … {spread.q3:,.{digits}f}"


def show(results: dict[str, Any], console: Console) -> None:
    found = {name: group["result"] for name, group in results["groups"].items()}
    table = Table("", "what", "found", "quartiles", "bound", "", title="Medians of interleaved rounds")
    for row in rows.table(found):
        middle, quartiles = written(row.found, row.unit)
        bound = f"{'≥' if row.at_least else '≤'} {row.limit:,g} {row.unit}"
        mark = "[green]met[/]" if row.met else "[red]missed[/]"
        detail = f"{row.what} [dim]({row.detail})[/]" if row.detail else row.what
        table.add_row(row.letter, detail, f"{middle} {row.unit}", quartiles, bound, mark)
    console.print(table)
    for group in ("peers", "services"):
        if group not in found:
            continue
        table = Table("", "carries", "publish", "read, new", "read, nothing new", "torn reads?", title=group)
        for peer in found[group]:
            times = [
                ns(peer["cases"][what]["samples"]) if what in peer["cases"] else "-"
                for what in ("publish", "changed", "unchanged")
            ]
            if "failed" in peer:
                times = ["failed", peer["failed"][:60], ""]
            table.add_row(peer["name"], peer["carries"], *times, peer["torn"])
        console.print(table)
