"""The groups of measurements: each runs in a process of its own, and gives what JSON can hold."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from channels import own_directory
from harness import Case, calibrate, measure


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    rounds: int  # of interleaved cases that take microseconds
    few: int  # of those that take longer, or that many processes take part in


FULL = Effort(rounds=301, few=61)
QUICK = Effort(rounds=31, few=7)

# Calls of nanoseconds take 15 % more or less from one process to the next: so much does it matter where in
# memory code and objects lie.
POOLED = ("calls", "resets", "structures")
PROCESSES = 5
SHARE = Effort(rounds=FULL.rounds // PROCESSES + 1, few=FULL.few // PROCESSES + 1)


def rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 1) if value < 10_000 else round(value) for value in values]


def dump(cases: Sequence[Case]) -> dict[str, Any]:
    return {
        case.name: {
            "number": case.number,
            "overhead": round(case.overhead, 2),
            "samples": [round(sample, 2) for sample in case.samples]
            if case.median < 1000
            else rounded(case.samples),
        }
        for case in cases
    }


def calls(effort: Effort) -> dict[str, Any]:
    import one_process

    cases = [
        *one_process.unchanged(),
        *one_process.changed(),
        *one_process.changed(5.0, " (steps only)"),
        *one_process.held(),
        *one_process.publishing(),
        *one_process.cold(),
    ]
    measure(cases, effort.rounds)
    return dump(cases)


def _peers(peers: Sequence[Any], rounds: int) -> list[dict[str, Any]]:
    import peers as module

    rows: list[dict[str, Any]] = []
    all_cases: list[Case] = []
    with ExitStack() as stack:
        for peer in peers:
            row = {key: value for key, value in asdict(peer).items() if key != "make"}
            rows.append(row)
            try:
                cases = module.cases(peer, stack)
                for case in cases.values():
                    calibrate(case)
            except Exception as error:  # whatever a peer does wrong is its result
                row["failed"] = f"{type(error).__name__}: {error}"
                continue
            row["cases"] = {what: case.name for what, case in cases.items()}
            all_cases += cases.values()
        measure(all_cases, rounds)
    measured = dump(all_cases)
    for row in rows:
        row["cases"] = {what: measured[name] for what, name in row.get("cases", {}).items()}
    return rows


def peers(effort: Effort) -> Any:
    import peers as module

    return _peers(module.PEERS, effort.few)


def services(effort: Effort) -> Any:
    import services as module

    return _peers(module.SERVICES, effort.few)


SIZES = (64, 1024, 16_384, 131_072, 400_000, 1_048_576, 8_388_608, 67_108_864)


def arrays(effort: Effort) -> list[dict[str, Any]]:
    import arrays as module

    found = []
    for size in SIZES:
        cases = module.cases(size)
        measure(cases, effort.few if size < 1 << 20 else max(effort.few // 4, 5))
        found.append({"size": size, "cases": dump(cases)})
    return found


def shared_arrays(effort: Effort) -> Any:
    import arrays as module

    return module.shared_copies()


def resets(effort: Effort) -> Any:
    import resets as module

    cases = module.cases()
    measure(cases, effort.rounds)
    return dump(cases)


def structures(effort: Effort) -> dict[str, Any]:
    import structures as module

    cases = {name: module.cases(name) for name in module.STRUCTURES}
    measure([case for each in cases.values() for case in each.values()], effort.few)
    return {
        name: dict(zip(each, dump(list(each.values())).values(), strict=True)) for name, each in cases.items()
    }


def fleet(effort: Effort) -> Any:
    import fleet as module

    return module.run(effort.few)


def wakeups(effort: Effort) -> Any:
    import wakeups as module

    return module.run(effort.few)


def vector_envs(effort: Effort) -> Any:
    import vector_envs as module

    return module.run(effort.few)


def memory(effort: Effort) -> Any:
    import figures

    return {**figures.in_fresh_process("--memory"), "loaded by import": figures.loaded_by_import()}


GROUPS: dict[str, Callable[[Effort], Any]] = {
    "calls": calls,
    "resets": resets,
    "memory": memory,
    "shared_arrays": shared_arrays,
    "peers": peers,
    "services": services,
    "arrays": arrays,
    "structures": structures,
    "fleet": fleet,
    "wakeups": wakeups,
    "vector_envs": vector_envs,
}


def child(name: str, quick: bool) -> Any:
    """Run a group here; some of it needs a directory that nobody else uses."""
    if name == "memory":
        return GROUPS[name](QUICK)
    with own_directory():
        return GROUPS[name](QUICK if quick else SHARE if name in POOLED else FULL)


def in_process(name: str, quick: bool, script: str, folder: Path) -> Any:
    """The result of a group that ran in a fresh process, or in several."""
    results = []
    for number in range(PROCESSES if name in POOLED and not quick else 1):
        path = folder / f"{number}.json"
        command = [sys.executable, script, "--group", name, "--json", str(path)]
        subprocess.run(command + ["--quick"] * quick, check=True, stdin=subprocess.DEVNULL)
        results.append(json.loads(path.read_text()))
    return pooled(results) if name in POOLED else results[0]


def pooled(results: Sequence[Any]) -> Any:
    """The samples of all, one behind the other; what else was found, as a list."""
    first = results[0]
    if isinstance(first, dict):
        return {key: pooled([result[key] for result in results]) for key in first}
    if isinstance(first, list):
        return [value for result in results for value in result]
    return list(results)
