"""The groups of measurements: each runs in a process of its own, and returns what JSON can hold."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benches.harness.channels import own_directory
from benches.harness.processes import python
from benches.harness.rounds import Case, calibrate, measure, samples_of

SAMPLE_FACTORY = "sample_factory"  # runs in an environment of its own


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    rounds: int  # for interleaved cases that take microseconds
    few: int  # for cases that take longer, or involve many processes


FULL = Effort(rounds=301, few=61)
QUICK = Effort(rounds=31, few=7)

# Calls of nanoseconds differ by 15 % from one process to the next, because the place of code and objects in
# memory matters that much.
POOLED = ("calls", "resets", "structures")
PROCESSES = 5
SHARE = Effort(rounds=FULL.rounds // PROCESSES + 1, few=FULL.few // PROCESSES + 1)


def calls(effort: Effort) -> dict[str, Any]:
    from benches.cases import calls as module

    cases = [
        *module.unchanged(),
        *module.changed(),
        *module.changed(5.0, " (steps only)"),
        *module.held(),
        *module.keys(),
        *module.publishing(),
        *module.cold(),
    ]
    measure(cases, effort.rounds)
    return samples_of(cases)


def _peers(peers: Sequence[Any], rounds: int) -> list[dict[str, Any]]:
    from benches.cases.peers import peer as form

    rows: list[dict[str, Any]] = []
    all_cases: list[Case] = []
    with ExitStack() as stack:
        for peer in peers:
            row = {key: value for key, value in asdict(peer).items() if key != "make"}
            rows.append(row)
            try:
                cases = form.cases(peer, stack)
                for case in cases.values():
                    calibrate(case)
            except Exception as error:  # a failure of a peer is its result
                row["failed"] = f"{type(error).__name__}: {error}"
                continue
            row["cases"] = {what: case.name for what, case in cases.items()}
            all_cases += cases.values()
        measure(all_cases, rounds)
    measured = samples_of(all_cases)
    for row in rows:
        row["cases"] = {what: measured[name] for what, name in row.get("cases", {}).items()}
    return rows


def peers(effort: Effort) -> Any:
    from benches.cases import peers as module

    return _peers(module.PEERS, effort.few)


def services(effort: Effort) -> Any:
    from benches.cases import peers as module

    return _peers(module.SERVICES, effort.few)


SIZES = (64, 1024, 16_384, 131_072, 400_000, 1_048_576, 8_388_608, 67_108_864)


def arrays(effort: Effort) -> list[dict[str, Any]]:
    from benches.cases import arrays as module

    found = []
    for size in SIZES:
        cases = module.cases(size)
        measure(cases, effort.few if size < 1 << 20 else max(effort.few // 4, 5))
        found.append({"size": size, "cases": samples_of(cases)})
    return found


def shared_arrays(effort: Effort) -> Any:
    from benches.cases import arrays as module

    return module.shared_copies()


def resets(effort: Effort) -> Any:
    from benches.cases import resets as module

    cases = module.cases()
    measure(cases, effort.rounds)
    return samples_of(cases)


def structures(effort: Effort) -> dict[str, Any]:
    from benches.cases import structures as module

    cases = {name: module.cases(name) for name in module.STRUCTURES}
    measure([case for each in cases.values() for case in each.values()], effort.few)
    return {
        name: dict(zip(each, samples_of(list(each.values())).values(), strict=True))
        for name, each in cases.items()
    }


def fleet(effort: Effort) -> Any:
    from benches.cases import fleet as module

    return module.run(effort.few)


def wakeups(effort: Effort) -> Any:
    from benches.cases import wakeups as module

    return module.run(effort.few)


def vector_envs(effort: Effort) -> Any:
    from benches.cases import vector_envs as module

    return module.run(effort.few)


def memory(effort: Effort) -> Any:
    return json.loads(python("-m", "benches.cases.memory"))


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


def here(name: str, quick: bool) -> Any:
    """Run a group in this process; its channels are in a directory that nobody else uses."""
    with own_directory():
        return GROUPS[name](QUICK if quick else SHARE if name in POOLED else FULL)


def result(name: str, quick: bool, sample_factory: str | None = None) -> Any:
    """Run a group in a fresh process, or in several that follow each other."""
    with tempfile.TemporaryDirectory(prefix="traincast-bench-") as folder:
        path = Path(folder) / "result.json"
        if name == SAMPLE_FACTORY:
            effort = ["--pairs", "1", "--seconds", "4"] if quick else []
            module, interpreter = "benches.cases.sample_factory.speed", sample_factory or sys.executable
            python("-m", module, "--json", str(path), *effort, executable=interpreter)
            return json.loads(path.read_text())
        results = []
        for _ in range(PROCESSES if name in POOLED and not quick else 1):
            python("-m", "benches.cases", name, "--json", str(path), *["--quick"] * quick)
            results.append(json.loads(path.read_text()))
    return pooled(results) if name in POOLED else results[0]


def pooled(results: Sequence[Any]) -> Any:
    """Return the samples of all, joined, and everything else that was found as a list."""
    first = results[0]
    if isinstance(first, dict):
        return {key: pooled([result[key] for result in results]) for key in first}
    if isinstance(first, list):
        return [value for result in results for value in result]
    return list(results)
