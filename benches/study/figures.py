"""Statistics of the results: medians and ranges of each arm, and the prediction."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benches.study.arms import parts
from benches.study.results import Result

__all__ = ["Cell", "Group", "Prediction", "groups", "lag_of"]


@dataclass(frozen=True)
class Cell:
    """All seeds of an arm."""

    arm: str
    results: Sequence[Result]

    @property
    def lag(self) -> int:
        """The added delay, in env steps."""
        return lag_of(self.arm)

    @property
    def solved(self) -> int:
        """How many seeds solved the task."""
        return sum(result.solved for result in self.results)

    @property
    def steps(self) -> list[int]:
        """Env steps of each seed, sorted."""
        return sorted(result.steps for result in self.results)

    @property
    def median(self) -> float:
        """Median env steps until solved; seeds that did not solve it count the budget: then a lower bound."""
        return statistics.median(self.steps)

    @property
    def bounded(self) -> bool:
        """Whether the median is only a lower bound: half of the seeds or more did not solve the task."""
        return 2 * self.solved <= len(self.results)

    @property
    def promotions(self) -> float:
        """The median number of promotions."""
        return float(statistics.median(result.promotions for result in self.results))

    @property
    def lagging(self) -> bool:
        """Whether a schedule's steps are known late."""
        return len(parts(self.arm)[1]) > 1

    @property
    def stale_steps(self) -> float:
        """The median of the env steps at a stale level."""
        return float(statistics.median(result.outcome["stale_steps"] for result in self.results))

    @property
    def stale_resets(self) -> float | None:
        """The share of resets at a stale level; None if envs have no common level."""
        if parts(self.arm)[0] in ("windows", "schedule", "none"):
            return None
        return float(statistics.median(r.outcome["stale_resets"] / r.outcome["resets"] for r in self.results))

    @property
    def seconds(self) -> float:
        """The median of the wall time."""
        return statistics.median(float(result.outcome["seconds"]) for result in self.results)

    @property
    def held(self) -> bool:
        """Whether all seeds held the stated speed."""
        return all(result.held for result in self.results)


@dataclass(frozen=True)
class Prediction:
    """Fresh + promotions x lag, with nothing fitted, against the trainings that solved the task."""

    fresh: float
    promotions: float
    r2: float
    trainings: int

    def __call__(self, lag: float) -> float:
        """The env steps until solved."""
        return self.fresh + self.promotions * lag

    @property
    def is_check(self) -> bool:
        """Close to an identity, which finds nothing new: each promotion waits for one lag, as it must."""
        return self.r2 >= 0.99


@dataclass(frozen=True)
class Group:
    """All arms of a task that may be compared: behind one gate, at one speed."""

    task: str
    gate: int
    rate: float | None
    cells: dict[str, Cell]

    @property
    def seeds(self) -> int:
        """The largest number of seeds of an arm."""
        return max(len(cell.results) for cell in self.cells.values())

    @property
    def delays(self) -> list[Cell]:
        """The arms with an added delay, shortest first, after the fresh one."""
        delayed = [cell for name, cell in self.cells.items() if parts(name)[0] == "delay"]
        fresh = [self.cells["traincast"]] if "traincast" in self.cells else []
        return fresh + sorted(delayed, key=lambda cell: parts(cell.arm)[1])

    def share_of_lag(self, arm: str) -> float | None:
        """The cost of a promotion, as a multiple of the added lag; None if nothing can be compared."""
        fresh, cell = self.cells.get("traincast"), self.cells.get(arm)
        if fresh is None or cell is None or cell.bounded or fresh.bounded:
            return None
        return (cell.median - fresh.median) / (cell.promotions * lag_of(arm))

    def apart(self, arm: str) -> bool | None:
        """Whether its fastest seed was slower than the slowest fresh one; None for under three seeds."""
        one, other = self.cells[arm].steps, self.cells["traincast"].steps
        return None if min(len(one), len(other)) < 3 else one[0] > other[-1]

    def prediction(self) -> Prediction | None:
        """None where there is no fresh arm, or no delay."""
        cells = self.delays
        if len(cells) < 2 or cells[0].arm != "traincast" or cells[0].bounded:
            return None
        fresh, promotions = cells[0].median, cells[0].promotions
        pairs = [
            (fresh + promotions * lag_of(cell.arm), r.steps)
            for cell in cells
            for r in cell.results
            if r.solved
        ]
        mean = statistics.fmean(steps for _, steps in pairs)
        off = sum((steps - said) ** 2 for said, steps in pairs)
        spread = sum((steps - mean) ** 2 for _, steps in pairs)
        return Prediction(fresh, promotions, 1 - off / spread if spread else float("nan"), len(pairs))


def lag_of(arm: str) -> int:
    """The added delay of an arm, in env steps."""
    kind, numbers = parts(arm)
    return numbers[0] if kind == "delay" else 0


def groups(results: Iterable[Result]) -> list[Group]:
    """Return the groups in the order in which they were first measured."""
    found: dict[tuple[str, int, float | None], dict[str, list[Result]]] = {}
    for result in results:
        job = result.job
        arms = found.setdefault((job.task, job.gate, job.rate), {})
        arms.setdefault(job.arm, []).append(result)
    return [
        Group(*key, {name: Cell(name, several) for name, several in arms.items()})
        for key, arms in found.items()
    ]
