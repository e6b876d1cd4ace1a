"""The command `traincast scores`."""

from __future__ import annotations

from dataclasses import asdict

from traincast.cli._arguments import AsJson, Name, Policy
from traincast.cli._channels import attach
from traincast.cli._json import print_json
from traincast.cli._scores import Row, Scores, look_at
from traincast.cli._tables import Cell, Column, console, print_table
from traincast.errors import ChannelNotFoundError

__all__ = ["scores"]

_TASKS = [
    Column("TASK", right=True),
    Column("EPISODES", right=True),
    Column("SUCCESS", right=True),
    Column("RETURN", right=True),
    Column("DEVIATION", right=True, spare=2),
    Column("LENGTH", right=True, spare=1),
    Column("LAST SCORE", right=True, spare=3),
]


def scores(name: Name, policy: Policy = 0, as_json: AsJson = False) -> None:
    """Print what envs have counted on a run's scoreboard: a line for each task that was played.

    RETURN and LENGTH are means over the episodes since the scoreboard was made.
    """
    try:
        found = look_at(name, policy)
    except ChannelNotFoundError:
        attach(name, policy).close()  # if the channel is missing too, its error suggests other names
        raise
    if as_json:
        print_json(_document(name, policy, found), indent=2)
        return
    living = sum(process.alive for process in found.processes)
    episodes = sum(row.episodes for row in found.rows)
    print(
        f"{episodes} episodes of {len(found.rows)} of {found.tasks} tasks; {living} process"
        f"{'' if living == 1 else 'es'} record."
    )
    if found.rows:
        print_table(console(), _TASKS, [_cells(row) for row in found.rows])


def _cells(row: Row) -> list[Cell]:
    return [
        str(row.task),
        str(row.episodes),
        f"{row.success_rate:.1%}",
        f"{row.mean_return:.4g}",
        f"{row.return_deviation:.3g}",
        f"{row.mean_length:.1f}",
        f"{row.last_score:.4g}",
    ]


def _document(name: str, policy: int, found: Scores) -> dict[str, object]:
    rows = [
        {
            **asdict(row),
            "success_rate": row.success_rate,
            "mean_return": row.mean_return,
            "return_deviation": row.return_deviation,
            "mean_length": row.mean_length,
        }
        for row in found.rows
    ]
    return {
        "name": name,
        "policy_id": policy,
        "tasks": found.tasks,
        "scores": rows,
        "processes": [asdict(process) for process in found.processes],
    }
