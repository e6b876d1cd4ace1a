"""The tables of the page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import DataRow, TableFormat, tabulate

from benches.cases.rows import Row
from benches.harness.figures import ns, ratios, size, times

Found = Sequence[dict[str, Any]]
COUNTS = Path(__file__).parents[1] / "gate" / "instructions.json"


def _rule(widths: Sequence[int], _: Sequence[str]) -> str:
    return "| " + " | ".join("---" for _ in widths) + " |"


# As GitHub wants them, but unpadded: otherwise one long cell would change every line in a diff.
UNPADDED = TableFormat(
    None,
    _rule,
    None,
    None,
    DataRow("| ", " | ", " |"),
    DataRow("| ", " | ", " |"),
    padding=0,
    with_header_hide=None,
)


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return tabulate(
        [list(line) for line in lines],
        head,
        UNPADDED,
        stralign=None,
        disable_numparse=True,
        preserve_whitespace=True,
    )


def of_rows(rows: Sequence[Row]) -> str:
    """Rows a to l, with their bounds."""

    def line(row: Row) -> list[str]:
        def said(value: float) -> str:
            return f"{value:,.0f}" if row.unit else times(value)

        unit = f" {row.unit}" if row.unit else ""
        bound = f"{'≥' if row.at_least else '≤'} {row.limit:,g}{unit}"
        bound += " within the noise" if row.within_noise else ""
        one = row.found.count == 1
        quartiles = "one measurement" if one else f"{said(row.found.q1)} … {said(row.found.q3)}"
        middle = f"**{said(row.found.median)}{unit}**"
        return [row.letter, row.what, row.detail, middle, quartiles, bound, "yes" if row.met else "**no**"]

    return markdown(["", "what", "medians", "ratio or time", "quartiles", "bound", "met"], map(line, rows))


def of_peers(peers: Found) -> str:
    def order(peer: dict[str, Any]) -> float:
        return median(peer["cases"]["changed"]["samples"]) if peer["cases"] else float("inf")

    def cost(peer: dict[str, Any], what: str) -> str:
        if what in peer["cases"]:
            return ns(peer["cases"][what]["samples"])
        return "failed" if "failed" in peer else ""

    lines = []
    for peer in sorted(peers, key=order):
        name = f"**{peer['name']}**" if peer["name"] == "traincast" else peer["name"]
        name += f" ({peer['note']})" if peer["note"] else ""
        costs = [cost(peer, what) for what in ("publish", "changed", "unchanged")]
        lines.append([name, peer["carries"], peer["notices"], peer["torn"], *costs])
    head = ["", "carries", "does a reader know that nothing is new?", "torn reads?"]
    return markdown([*head, "publish", "read, new", "read, nothing new"], lines)


def _against_alone(row: dict[str, Any]) -> list[str]:
    found = ratios(row["attached"], row["alone"])
    quotient = f"{found.median:.2f} ({found.q1:.2f} … {found.q3:.2f})"
    return [ns(row["attached"]), ns(row["alone"]), quotient]


def of_idle(found: Found) -> str:
    lines = [[f"{row['readers']:,}", *_against_alone(row)] for row in found]
    return markdown(["readers", "publish", "alone", "ratio"], lines)


def of_busy(found: Found) -> str:
    lines = [
        [f"{row['readers']:,}", f"{row['reads per second of each']:,.0f}", *_against_alone(row)]
        for row in found
    ]
    return markdown(["readers", "reads of each per second", "publish", "alone", "ratio"], lines)


def of_freshness(found: Found) -> str:
    lines = [[f"{row['readers']:,}", ns(row["median reader"]), ns(row["last reader"])] for row in found]
    return markdown(["readers", "the median reader knows after", "the last one"], lines)


def of_envs(found: Found) -> str:
    whats = ("publish", "changed read", "unchanged read")
    lines = [[f"{row['readers']:,}", *(ns(row[what]) for what in whats)] for row in found]
    return markdown(["envs", "publish", "read, new", "read, nothing new"], lines)


def of_rates(found: Found) -> str:
    lines = [[f"{row['rate']:,}", f"{row['reached']:,.0f}", ns(row["read"])] for row in found]
    return markdown(["publishes per second, wanted", "reached", "a read"], lines)


def of_sizes(arrays: Found) -> str:
    lines = []
    for found in arrays:
        cases = {
            name.removesuffix(f" {found['size']}"): case["samples"] for name, case in found["cases"].items()
        }
        bases = copy, ring = cases["memcpy"], cases["memcpy round a ring of 4"]
        cells = [size(found["size"])]
        for what in ("publish", "changed read"):
            cells += [ns(cases[what]), *(f"{ratios(cases[what], base).median:.2f}" for base in bases)]
        lines.append([*cells, ns(copy), ns(ring)])
    head = ["size", "publish", "/ copy", "/ copy in a ring", "read, new", "/ copy", "/ copy in a ring"]
    return markdown([*head, "copy", "copy in a ring"], lines)


def of_structures(structures: dict[str, Any]) -> str:
    lines = []
    for name, cases in structures.items():
        cells = [name]
        for what, base in (("publish", "encode"), ("read", "decode")):
            samples = cases[what]["samples"]
            cells += [ns(samples), f"{ratios(samples, cases[base]['samples']).median:.2f}"]
        lines.append(cells)
    return markdown(["structure", "publish", "/ encode", "read, new", "/ decode"], lines)


def of_counts() -> str:
    """The committed instruction counts of the first machine type in the baseline."""
    stored = json.loads(COUNTS.read_text())
    counts = stored[min(stored)]["counts"]
    lines = [
        [name, f"{row['instructions']:,.0f}", f"{row['calls out']:,.0f}" if "calls out" in row else ""]
        for name, row in sorted(counts.items(), key=lambda item: item[1]["instructions"])
    ]
    return markdown(["one call of", "instructions", "calls out"], lines)
