"""The trainings of each plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benches.study.job import Job

__all__ = ["FULL_RATES", "GATE", "PLANS", "RATE", "SLOW_GATE", "plan"]

GATE = 16
"""The number of greedy episodes, of all envs, that the gate averages."""
RATE = 20_000
"""Env steps per second of all workers, in the short study."""
FULL_RATES = {"lock": 50_000, "lock-16": 50_000, "multiroom": 20_000, "mountain-car": 50_000}
"""The same for the full study: what two cores can hold. PPO has no fixed speed."""
SLOW_GATE, EARLIER_GATE = 512, 64

_DELAYS = ("delay-2500", "delay-10000", "delay-20000", "delay-80000")
_CONTROLS = ("placebo", "stalled-200", "results-20000")
_LOCK = (
    *("traincast", "value", *_DELAYS, "rollouts-16384", "rollouts-131072", "samplefactory", "timer-500"),
    *("syllabus", "syllabus-2", "windows-8", "windows-20", "none", *_CONTROLS),
)
_MULTIROOM = ("traincast", "value", *_DELAYS, "timer-5000", "syllabus", "windows-8", "none", "results-20000")
_MOUNTAIN_CAR = ("traincast", "value", "delay-20000", "delay-80000", "delay-160000", "delay-320000")
_MOUNTAIN_CAR_MORE = ("samplefactory", "syllabus", "windows-8", "none")
_PPO = (
    "traincast",
    "envmethod",
    "delay-1000",
    "delay-4000",
    "delay-10000",
    "delay-20000",
    "windows-16",
    "none",
)
_SCHEDULES = ("schedule-5000", "schedule-10000", "schedule-20000", "schedule-40000", "schedule-80000")
_HARD_SCHEDULES = ("schedule-40000", "schedule-160000", "schedule-320000", "schedule-640000")
_LATE_SCHEDULES = ("schedule-40000-20000", "schedule-40000-80000")

_WAITING = 12_000_000  # env steps that an arm on a timer of 5 s may take
# Env steps after which a schedule that is too fast, or no curriculum, counts as not solving the task.
_PATIENCE = 1_500_000


def _jobs(task: str, arms: Iterable[str], seed: int, rate: float | None, gate: int = GATE) -> Iterator[Job]:
    for arm in arms:
        yield Job(task, arm, seed, gate, rate, None if task == "ppo" else _budget(arm))


def _budget(arm: str) -> int | None:
    if arm == "none" or arm.startswith("schedule"):
        return _PATIENCE
    return _WAITING if arm in ("samplefactory", "timer-5000") else None


def _short(rate: float | None) -> Iterator[Job]:
    """Three arms, three seeds."""
    for seed in range(3):
        yield from _jobs("lock", ("traincast", "delay-20000", "samplefactory"), seed, rate)


def _full(rate: float | None) -> Iterator[Job]:
    """Everything, seed by seed, so that a run that is stopped has complete rounds."""
    rates = {task: rate or own for task, own in FULL_RATES.items()}
    for seed in range(5):
        yield from _jobs("lock", (*_LOCK, *_SCHEDULES, *_LATE_SCHEDULES), seed, rates["lock"])
        yield from _jobs("lock", ("traincast", "delay-5000"), seed, rates["lock"], SLOW_GATE)
        yield from _jobs("lock", ("traincast", "delay-20000"), seed, rates["lock"], EARLIER_GATE)
        yield from _jobs("lock-16", ("traincast", "delay-20000", *_HARD_SCHEDULES), seed, rates["lock-16"])
        yield from _jobs("multiroom", _MULTIROOM, seed, rates["multiroom"])
        yield from _jobs("mountain-car", (*_MOUNTAIN_CAR, *_MOUNTAIN_CAR_MORE), seed, rates["mountain-car"])
        yield from _jobs("ppo", _PPO, seed, None)


def _tiny(rate: float | None) -> Iterator[Job]:
    """A few seconds, which `make test` runs."""
    yield from _jobs("lock", ("traincast", "delay-20000"), 0, rate)


PLANS = {"short": (_short, RATE), "full": (_full, None), "tiny": (_tiny, None)}


def plan(name: str, rate: float | None = None) -> list[Job]:
    """The trainings of a plan, at its own speed or another one."""
    jobs, own = PLANS[name]
    return list(jobs(own if rate is None else rate))
