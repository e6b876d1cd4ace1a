"""The results as tables, for a terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable

from benches.harness.tables import plain
from benches.study.arms import parts
from benches.study.figures import Cell, Group
from benches.study.tasks import TITLES

__all__ = ["arm_name", "in_thousands", "markdown", "terminal", "title"]

_HEAD = ("arm", "env steps until solved (range)", "solved", "stale resets", "stale steps", "seconds")

_NAMES: dict[str, Callable[..., str]] = {
    "traincast": lambda: "traincast",
    "value": lambda: "multiprocessing.Value",
    "delay": lambda lag: f"delay of {lag:,} env steps",
    "rollouts": lambda steps: f"between rollouts of {steps:,} (stand-in)",
    "samplefactory": lambda: "Sample Factory's queue",
    "timer": lambda ms: f"queue every {ms / 1000:g} s (stand-in)",
    "syllabus": lambda buffer=1: "Syllabus" + (f", buffer of {buffer}" if buffer > 1 else ""),
    "envmethod": lambda: "SB3 env_method between rollouts",
    "windows": lambda window: f"a window of {window} per env",
    "none": lambda: "no curriculum",
    "placebo": lambda: "control: traffic without news",
    "stalled": lambda ms: f"control: learner stalls {ms / 1000:g} s",
    "results": lambda lag: f"control: results {lag:,} late",
    "schedule": lambda steps, lag=0: (
        f"schedule of {steps:,}" + (f", steps known {lag:,} late" if lag else "")
    ),
}


def arm_name(arm: str) -> str:
    """Return the name of an arm for readers."""
    kind, numbers = parts(arm)
    return _NAMES[kind](*numbers)


def in_thousands(steps: float) -> str:
    """Env steps, as "139k"."""
    return f"{steps / 1000:,.1f}k" if steps < 10_000 else f"{steps / 1000:,.0f}k"


def title(group: Group) -> str:
    """Return the title of a group."""
    speed = "as fast as it goes" if group.rate is None else f"{group.rate:,.0f} env steps per second"
    seeds = f"{group.seeds} seed{'s' if group.seeds > 1 else ''}"
    return f"{TITLES[group.task]}, gate of {group.gate} episodes, {speed}, {seeds}"


def _row(cell: Cell) -> list[str]:
    low, high = cell.steps[0], cell.steps[-1]
    middle = f"{'> ' if cell.bounded else ''}{in_thousands(cell.median)}"
    spread = "" if len(cell.results) == 1 else f" ({in_thousands(low)} to {in_thousands(high)})"
    mark = "" if cell.held else " †"
    resets = "" if cell.stale_resets is None else f"{cell.stale_resets:.0%}"
    stale = "" if cell.stale_resets is None else in_thousands(cell.stale_steps)
    solved = f"{cell.solved} of {len(cell.results)}"
    return [arm_name(cell.arm) + mark, middle + spread, solved, resets, stale, f"{cell.seconds:.1f}"]


def terminal(groups: list[Group]) -> str:
    """Everything, for a terminal."""
    blocks = [f"{title(g)}\n{plain(_HEAD, [_row(cell) for cell in g.cells.values()])}" for g in groups]
    slow = [cell for g in groups for cell in g.cells.values() if not cell.held]
    if slow:
        blocks.append(
            "† The machine did not hold the stated speed. Arms in env steps do not mind; for those on a "
            "timer the lag was shorter, in env steps, than stated."
        )
    return "\n\n".join(blocks)


def markdown(group: Group) -> str:
    """One group, for the page."""
    rows = [_row(cell) for cell in group.cells.values()]
    lines = ["| " + " | ".join(_HEAD) + " |", "|-|" + "-|" * (len(_HEAD) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
