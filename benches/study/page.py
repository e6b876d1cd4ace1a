"""docs/study.md and its pictures, from the results: `python -m benches.study.page docs/study.jsonl`."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benches.harness.pages import templates
from benches.study import table
from benches.study.arms import parts
from benches.study.figures import Cell, Group, groups
from benches.study.picture import draw
from benches.study.plan import FULL_RATES, GATE, RATE, SLOW_GATE, plan
from benches.study.results import Result, Results
from benches.study.tasks import TITLES

__all__ = ["text"]


def _main(found: list[Group]) -> dict[str, Group]:
    """Return, for each task, the group with the most arms, which the text is about."""
    chosen: dict[str, Group] = {}
    for group in found:
        if group.task not in chosen or len(group.cells) > len(chosen[group.task].cells):
            chosen[group.task] = group
    return chosen


def _shares(group: Group) -> list[tuple[str, float, bool | None]]:
    """Return for each delay its name, the cost of a promotion in lags, and whether the ranges are apart."""
    said = []
    for cell in group.delays[1:]:
        share = group.share_of_lag(cell.arm)
        if share is not None:
            said.append((table.arm_name(cell.arm), share, group.apart(cell.arm)))
    return said


def _costs(main: dict[str, Group]) -> list[tuple[str, int, float, int]]:
    """Return, for each task at its longest lag, the cost of a promotion in lags, and both arms' seeds."""
    said = []
    for task, group in main.items():
        for cell in group.delays[:0:-1]:
            share = group.share_of_lag(cell.arm)
            if share is not None:
                seeds = min(len(cell.results), len(group.cells["traincast"].results))
                said.append((TITLES[task], cell.lag, share, seeds))
                break
    return said


def _kinds(group: Group, kind: str) -> list[Cell]:
    return [cell for name, cell in group.cells.items() if parts(name)[0] == kind]


def _machine(result: Result) -> str:
    context = result.context
    virtual = ", virtual" if context["virtual machine"] else ""
    return f"{context['cores']} cores ({context['processor']}{virtual})"


def _took(cell: Cell) -> str:
    return f"{'more than ' if cell.bounded else ''}{table.in_thousands(cell.median)}"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _best_schedule(group: Group) -> Cell | None:
    """The fastest schedule that every seed solved."""
    solved = [cell for cell in _kinds(group, "schedule") if cell.solved == len(cell.results)]
    return min(solved, key=lambda cell: cell.median, default=None)


def context(results: list[Result]) -> dict[str, Any]:
    """The values for the template."""
    found = groups(results)
    full = {job.key for job in plan("full")}
    loads = [float(result.context["load before"]) for result in results]
    return {
        "groups": found,
        "main": _main(found),
        "titles": TITLES,
        "table": table,
        "shares": _shares,
        "kinds": _kinds,
        "costs": _costs(_main(found)),
        "took": _took,
        "listed": _listed,
        "best_schedule": _best_schedule,
        "slow": next((group for group in found if group.gate == SLOW_GATE), None),
        "count": len(results),
        "recorded": sum(result.job.key in full for result in results),
        "planned": len(full),
        "machines": sorted({_machine(result) for result in results}),
        "busy": statistics.median(loads) > min(int(result.context["cores"]) for result in results),
        "began": sorted(str(result.context["began"])[:10] for result in results),
        "load": (min(loads), statistics.median(loads), max(loads)),
        "not_held": sum(not result.held for result in results),
        "hours": sum(float(result.outcome["seconds"]) for result in results) / 3600,
        "gate": GATE,
        "rate": RATE,
        "full_rates": FULL_RATES,
    }


def text(results: list[Result]) -> str:
    """The page."""
    environment = templates(Path(__file__).parent / "templates")
    environment.filters |= {"k": table.in_thousands, "thousands": "{:,}".format}
    return environment.get_template("study.md.j2").render(context(results)).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    options = parser.parse_args()
    results = Results(options.results).all()
    page = options.results.with_suffix(".md")
    page.write_text(text(results))
    print(page, *draw(groups(results), page.parent / "images"), sep="\n")


if __name__ == "__main__":
    main()
