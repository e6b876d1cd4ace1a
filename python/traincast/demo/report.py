"""The results of the demo: as rows of a table, and as a dictionary for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from traincast.demo.display import milliseconds
from traincast.demo.settings import CURRICULUM, Settings
from traincast.demo.summary import Summary

__all__ = ["TITLES", "notes", "rows", "summary_dict"]

TITLES = ("MountainCar", "success", "by seed", "episodes", "info age", "99 % below")


def rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """Return a row for each arm, as `TITLES` names its cells."""
    return [_row(summary) for summary in summaries]


def _row(summary: Summary) -> list[str]:
    return [
        "with the curriculum" if summary.arm == CURRICULUM else "the same without it",
        f"{summary.success:.0%}",
        " ".join(f"{100 * success:.0f}" for success in summary.success_by_seed),
        f"{summary.resets:,}",
        milliseconds(summary.info_age),
        milliseconds(summary.info_age_99),
    ]


def notes(summaries: Sequence[Summary], seconds: float) -> str:
    """Return the lines below the table: how long it took, and what the columns mean."""
    return (
        f"{_steps(summaries):,} env steps in {seconds:.1f} s.\n"
        "Success: of the latest greedy episodes from the real start.\n"
        "Info age: of the training information that an env holds when it resets."
    )


def summary_dict(summaries: Sequence[Summary], settings: Settings, seconds: float) -> dict[str, Any]:
    """Return the results as a dictionary; ages in seconds, success as a share, 0...1."""
    return {
        "workers": settings.workers,
        "seeds": settings.seeds,
        "seed": settings.seed,
        "seconds": seconds,
        "env_steps": _steps(summaries),
        "arms": [asdict(summary) for summary in summaries],
    }


def _steps(summaries: Sequence[Summary]) -> int:
    return sum(summary.steps for summary in summaries) * len(summaries[0].success_by_seed)
