"""Timing of many cases side by side, in interleaved rounds.

The machine's speed drifts (other programs, clock frequency). So cases to compare are measured in turn, in
another order each round, and a ratio is computed within each round before the median over the rounds. The
cost of the loop itself is measured as often, and its median is subtracted.
"""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

Run = Callable[[int], float]  # does n operations, and returns the nanoseconds that they took

UNROLL = 8
TARGET_NS = 400_000  # the length of a measurement: too short for the scheduler to interrupt often


@dataclass
class Case:
    """Something to time. `run(n)` does n operations; `loop(n)` is the loop around them alone."""

    name: str
    run: Run
    loop: Run | None = None
    note: str = ""
    unit: int = UNROLL  # operations are done in multiples of this
    number: int = 0  # operations per measurement; 0: found by calibration
    samples: list[float] = field(default_factory=list)  # ns per operation, one for each round
    overhead: float = 0.0  # ns per operation of the loop, subtracted from the samples

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


def statement(source: str, names: Mapping[str, Any]) -> Run:
    """A timed loop over `source`; `names` are its local variables, which are the fastest to look up."""
    body = "\n".join(f"        {source}" for _ in range(UNROLL))
    parameters = ", ".join(f"{name}=_names[{name!r}]" for name in names)
    text = f"def run(n, _now=_now, {parameters}):\n    rounds = range(n // {UNROLL})\n    start = _now()\n"
    text += f"    for _ in rounds:\n{body}\n    return float(_now() - start)\n"
    namespace: dict[str, Any] = {"_names": names, "_now": perf_counter_ns}
    exec(compile(text, f"<{source}>", "exec"), namespace)
    run: Run = namespace["run"]
    return run


def call(name: str, source: str, note: str = "", /, **names: Any) -> Case:
    """A case that runs the statement `source` again and again."""
    return Case(name, statement(source, names), statement("pass", {}), note)


def each(
    name: str,
    source: str,
    items: Sequence[Any],
    prepare: Callable[[], object] | None = None,
    note: str = "",
    /,
    **names: Any,
) -> Case:
    """A case that runs `source` once for each `item` of `items`, after an untimed `prepare()`."""

    def passes(source: str) -> Run:
        parameters = ", ".join(f"{key}=_names[{key!r}]" for key in names)
        text = f"def run(items, _now=_now, {parameters}):\n    start = _now()\n    for item in items:\n"
        text += f"        {source}\n    return _now() - start\n"
        namespace: dict[str, Any] = {"_names": names, "_now": perf_counter_ns}
        exec(compile(text, f"<{source}>", "exec"), namespace)
        once: Callable[[Sequence[Any]], int] = namespace["run"]

        def run(n: int) -> float:
            total = 0
            for _ in range(n // len(items)):
                if prepare is not None:
                    prepare()
                total += once(items)
            return float(total)

        return run

    return Case(name, passes(source), passes("pass"), note, unit=len(items))


def calibrate(case: Case, target_ns: float = TARGET_NS) -> None:
    """Choose how many operations make a measurement of about `target_ns`."""
    if case.number > 0:
        return
    unit = case.unit
    number = unit
    while True:
        took = min(_clocked(case.run, number) for _ in range(5))  # the minimum: interruptions only add
        if took >= target_ns / 4:
            break
        number *= 2
    case.number = max(unit, round(number * target_ns / took / unit) * unit)


def _clocked(run: Run, number: int) -> int:
    start = perf_counter_ns()
    run(number)
    return perf_counter_ns() - start


def samples_of(cases: Sequence[Case]) -> dict[str, Any]:
    """Return measured cases for JSON, with as many digits as are meaningful."""

    def rounded(case: Case) -> list[float]:
        if case.median < 1000:
            return [round(sample, 2) for sample in case.samples]
        return [round(sample, 1) if sample < 10_000 else round(sample) for sample in case.samples]

    return {
        case.name: {"number": case.number, "overhead": round(case.overhead, 2), "samples": rounded(case)}
        for case in cases
    }


def measure(cases: Sequence[Case], rounds: int, seed: int = 0, target_ns: float = TARGET_NS) -> None:
    """Fill the samples of all `cases`, interleaved, in an order that changes each round."""
    order = random.Random(seed)
    for case in cases:
        calibrate(case, target_ns)
        case.run(case.number)
    turn = list(cases)
    loops: dict[str, list[float]] = {case.name: [] for case in cases}
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            order.shuffle(turn)
            for case in turn:
                case.run(case.unit)  # so that it does not pay for what the case before left in the caches
                case.samples.append(case.run(case.number) / case.number)
                if case.loop is not None:
                    loops[case.name].append(case.loop(case.number) / case.number)
    finally:
        if was_enabled:
            gc.enable()
    for case in cases:
        if case.loop is not None:
            case.overhead = statistics.median(loops[case.name])
            case.samples = [sample - case.overhead for sample in case.samples]
