"""The rows of the table, with their bounds: ratios of what the groups measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from benches.harness.figures import Spread, ns, ratios, spread


@dataclass(frozen=True)
class Row:
    """One line: a quantity, its bound, and whether it holds."""

    letter: str
    what: str
    unit: str  # "", "ns" or "copies"; "" is a ratio
    found: Spread
    limit: float
    at_least: bool = False
    detail: str = ""
    within_noise: bool = False  # whether the bound need only hold for the better quartile

    @property
    def met(self) -> bool:
        if self.at_least:
            return (self.found.q3 if self.within_noise else self.found.median) >= self.limit
        return self.found.median <= self.limit


def _calls(groups: dict[str, Any]) -> list[Row]:
    samples = {name: case["samples"] for name, case in groups["calls"].items()}

    def row(letter: str, what: str, case: str, base: str, limit: float) -> Row:
        detail = f"{ns(samples[case])} / {ns(samples[base])}"
        return Row(letter, what, "", ratios(samples[case], samples[base]), limit, detail=detail)

    only, whole = "changed read (steps only)", "update(approx_total_training_steps=n)"
    return [
        row(
            "a",
            "unchanged `read()` / an empty method of a PyO3 class",
            "unchanged read",
            "empty PyO3 method",
            1.15,
        ),
        row(
            "b",
            "changed `read()`, every leaf new / `msgspec.msgpack.decode`",
            "changed read",
            "msgspec decode",
            1.05,
        ),
        row(
            "b′",  # noqa: RUF001 - a prime is meant
            "the same with only the steps new",
            only,
            "msgspec decode (steps only)",
            0.55,
        ),
        row("c", "`publish(dict)` / `msgspec.msgpack.encode`", "publish", "msgspec encode", 0.5),
        row("d", "`update(steps)` / `publish` of the whole dictionary", whole, "publish", 1.0),
    ]


def _fleet(groups: dict[str, Any]) -> list[Row]:
    fleet = groups["fleet"]
    most = max(fleet["idle"], key=lambda found: found["readers"])
    rows = [
        Row(
            "e",
            f"`publish` with {most['readers']:,} idle reading processes / with none",
            "",
            ratios(most["attached"], most["alone"]),
            1.1,
            detail=f"{ns(most['attached'])} / {ns(most['alone'])}",
        )
    ]
    carried = [found for found in fleet["busy"] if found["reads per second of each"] >= 850]
    if carried:
        busy = max(carried, key=lambda found: found["readers"])
        rate = busy["reads per second of each"]
        rows.append(
            Row(
                "e",
                f"the same with {busy['readers']} processes reading {rate:,.0f} times a second each",
                "",
                ratios(busy["attached"], busy["alone"]),
                1.1,
                detail=f"{ns(busy['attached'])} / {ns(busy['alone'])}",
            )
        )
    return rows


def _arrays(groups: dict[str, Any]) -> list[Row]:
    size = 400_000
    (cases,) = (found["cases"] for found in groups["arrays"] if found["size"] == size)
    copy = cases[f"memcpy {size}"]["samples"]
    rows = []
    for what in ("publish", "changed read"):
        mine = cases[f"{what} {size}"]["samples"]
        detail = f"{ns(mine)} / {ns(copy)}"
        rows.append(
            Row("f", f"{what} of 400 KB / `memcpy` of them", "", ratios(mine, copy), 1.5, detail=detail)
        )
    shared = groups["shared_arrays"]
    rows.append(
        Row(
            "g",
            f"memory for the arrays of {shared['readers']} readers in a process / one copy",
            "",
            spread([shared["copies"]]),
            1.1,
        )
    )
    return rows


def _reset(groups: dict[str, Any]) -> Row:
    cases = {name: case["samples"] for name, case in groups["resets"].items()}
    ours, plain = cases["reset in TrainingInfoWrapper"], cases["reset in gymnasium.Wrapper"]
    added = spread([a - b for a, b in zip(ours, plain, strict=True)])
    detail = f"{ns(ours)} - {ns(plain)}"
    return Row("h", "what `TrainingInfoWrapper` adds to a reset", "ns", added, 100, detail=detail)


def _wakeups(groups: dict[str, Any]) -> list[Row]:
    pings = groups["wakeups"]["pings"]
    middle = {
        mode: {side: [statistics.median(turn) for turn in turns] for side, turns in sides.items()}
        for mode, sides in pings.items()
    }
    ours, bare = middle["futex"]["traincast"], middle["futex"]["bare"]
    return [
        Row(
            "i",
            "wake-up of `wait()` in another process, p50 / a bare futex in C",
            "",
            ratios(ours, bare),
            1.5,
            detail=f"{ns(ours)} / {ns(bare)}",
        ),
        Row(
            "j",
            "the same with the reader spinning on `changed()`, p50",
            "ns",
            spread(middle["spin"]["traincast"]),
            1000,
            detail=f"in C: {ns(middle['spin']['bare'])}",
        ),
    ]


def _sample_factory(groups: dict[str, Any]) -> list[Row]:
    if "sample_factory" not in groups:
        return []
    fps = groups["sample_factory"]["fps"]
    detail = f"{statistics.median(fps['traincast']):,.0f} / {statistics.median(fps['queue']):,.0f} fps"
    what = "Sample Factory, frames per second: traincast / its queue"
    return [
        Row(
            "k",
            what,
            "",
            ratios(fps["traincast"], fps["queue"]),
            1.0,
            at_least=True,
            detail=detail,
            within_noise=True,
        )
    ]


def _vector(groups: dict[str, Any]) -> list[Row]:
    most = max(groups["vector_envs"], key=lambda found: found["envs"])
    rows = []
    for side in ("SB3 env_method", "Gymnasium call"):
        if side in most:
            rows.append(
                Row(
                    "l",
                    f"learner's blocked time for {most['envs']} envs: {side} / traincast",
                    "",
                    ratios(most[side], most["traincast"]),
                    1000,
                    at_least=True,
                    detail=f"{ns(most[side])} / {ns(most['traincast'])}",
                )
            )
    return rows


def table(groups: dict[str, Any]) -> list[Row]:
    """Return rows a to l, except for those whose groups were not measured."""
    rows: list[Row] = []
    if "calls" in groups:
        rows += _calls(groups)
    if "fleet" in groups:
        rows += _fleet(groups)
    if {"arrays", "shared_arrays"} <= groups.keys():
        rows += _arrays(groups)
    if "resets" in groups:
        rows.append(_reset(groups))
    if "wakeups" in groups:
        rows += _wakeups(groups)
    rows += _sample_factory(groups)
    if "vector_envs" in groups:
        rows += _vector(groups)
    return rows
