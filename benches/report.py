"""Makes docs/performance.md and its pictures from what `make bench` measured.

    python benches/report.py docs/performance.json

Every figure in the page comes from the file; the text around them is benches/performance.md.in, and
benches/profile.md is appended to it.
"""

from __future__ import annotations

import json
import statistics
import string
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pictures
import rows
from groups import PROCESSES
from payloads import CHANNELS, OTHER_WORK
from rows import ns

HERE = Path(__file__).parent
SAMPLE_FACTORY = """\
- **k**: in {pairs} pairs of runs with envs that do nothing and episodes of 20 steps, Sample Factory's
  frames per second with traincast were {middle} of those with its queue (quartiles {low} … {high}).
  Speed is not why one would change: the queue is late, and loses messages.
  `benches/sample_factory_staleness.py` measures how late.
"""


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in table)


def times(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def ratio_table(table: Sequence[rows.Row]) -> str:
    lines = []
    for row in table:
        unit = f" {row.unit}" if row.unit else ""
        bound = f"{'≥' if row.at_least else '≤'} {row.limit:,g}{unit}"
        bound += " within the noise" if row.within_noise else ""
        middle = f"{row.found.median:,.0f}{unit}" if row.unit else times(row.found.median)
        quartiles = (
            f"{row.found.q1:,.0f} … {row.found.q3:,.0f}"
            if row.unit
            else f"{times(row.found.q1)} … {times(row.found.q3)}"
        )
        if row.found.count == 1:
            quartiles = "one measurement"
        lines.append(
            [
                row.letter,
                row.what,
                row.detail,
                f"**{middle}**",
                quartiles,
                bound,
                "yes" if row.met else "**no**",
            ]
        )
    return markdown(["", "what", "medians", "ratio or time", "quartiles", "bound", "met"], lines)


def against_decode(calls: dict[str, Any], name: str) -> str:
    """A ratio like that of row b."""
    return times(rows.ratios(calls[name], calls["msgspec decode"]).median)


def missed(table: Sequence[rows.Row]) -> str:
    letters = list(dict.fromkeys(row.letter for row in table if not row.met))
    if not letters:
        return "All bounds are met."
    return f"Not met: {', '.join(letters)}. [What the profile showed](#what-the-profile-showed) says why."


def peer_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """All peers, each once."""
    peers = [*found.get("peers", []), *found.get("services", [])]
    return list({peer["name"]: peer for peer in reversed(peers)}.values())[::-1]


def cost(peer: dict[str, Any], what: str) -> float:
    return statistics.median(peer["cases"][what]["samples"])


def peer_table(peers: Sequence[dict[str, Any]]) -> str:
    lines = []
    for peer in sorted(peers, key=lambda peer: cost(peer, "changed") if peer["cases"] else float("inf")):
        name = f"**{peer['name']}**" if peer["name"] == "traincast" else peer["name"]
        name += f" ({peer['note']})" if peer["note"] else ""
        cells = [name, peer["carries"], peer["notices"], peer["torn"]]
        for what in ("publish", "changed", "unchanged"):
            there = what in peer["cases"]
            cells.append(
                ns(peer["cases"][what]["samples"]) if there else "failed" if "failed" in peer else ""
            )
        lines.append(cells)
    head = ["", "carries", "does a reader know that nothing is new?", "torn reads?"]
    return markdown([*head, "publish", "read, new", "read, nothing new"], lines)


def fleet_tables(fleet: dict[str, Any]) -> dict[str, str]:
    def compared(found: Sequence[dict[str, Any]], *, rate: bool) -> str:
        lines = []
        for row in found:
            quotient = rows.ratios(row["attached"], row["alone"])
            cells = [f"{row['readers']:,}", ns(row["attached"]), ns(row["alone"])]
            cells.append(f"{quotient.median:.2f} ({quotient.q1:.2f} … {quotient.q3:.2f})")
            if rate:
                cells.insert(1, f"{row['reads per second of each']:,.0f}")
            lines.append(cells)
        head = ["readers", "publish", "alone", "ratio"]
        if rate:
            head.insert(1, "reads of each per second")
        return markdown(head, lines)

    freshness = [
        [f"{r['readers']:,}", ns(r["median reader"]), ns(r["last reader"])] for r in fleet["freshness"]
    ]
    inside = [
        [f"{r['readers']:,}", ns(r["publish"]), ns(r["changed read"]), ns(r["unchanged read"])]
        for r in fleet["in_process"]
    ]
    rates = [[f"{r['rate']:,}", f"{r['reached']:,.0f}", ns(r["read"])] for r in fleet["rates"]]
    return {
        "idle_table": compared(fleet["idle"], rate=False),
        "busy_table": compared(fleet["busy"], rate=True),
        "freshness_table": markdown(["readers", "the median reader knows after", "the last one"], freshness),
        "in_process_table": markdown(["envs", "publish", "read, new", "read, nothing new"], inside),
        "rate_table": markdown(["publishes per second, wanted", "reached", "a read"], rates),
    }


def size_table(arrays: Sequence[dict[str, Any]]) -> str:
    lines = []
    for found in arrays:
        size = found["size"]
        cases = {name.removesuffix(f" {size}"): case["samples"] for name, case in found["cases"].items()}
        copy, ring = cases["memcpy"], cases["memcpy round a ring of 4"]
        cells = [pictures.size_name(size)]
        for what in ("publish", "changed read"):
            cells += [
                ns(cases[what]),
                f"{rows.ratios(cases[what], copy).median:.2f}",
                f"{rows.ratios(cases[what], ring).median:.2f}",
            ]
        lines.append([*cells, ns(copy), ns(ring)])
    head = ["size", "publish", "/ copy", "/ copy in a ring", "read, new", "/ copy", "/ copy in a ring"]
    return markdown([*head, "copy", "copy in a ring"], lines)


def structure_table(structures: dict[str, Any]) -> str:
    lines = []
    for name, cases in structures.items():
        samples = {what: case["samples"] for what, case in cases.items()}
        lines.append(
            [
                name,
                ns(samples["publish"]),
                f"{rows.ratios(samples['publish'], samples['encode']).median:.2f}",
                ns(samples["read"]),
                f"{rows.ratios(samples['read'], samples['decode']).median:.2f}",
            ]
        )
    return markdown(["structure", "publish", "/ encode", "read, new", "/ decode"], lines)


WORST = 2.0  # times msgspec: the aim for any structure


def beyond(structures: dict[str, Any]) -> str:
    """What is slower than the aim, and how the cost grows."""
    found = []
    for name, cases in structures.items():
        for what, base in (("publish", "encode"), ("read", "decode")):
            middle = rows.ratios(cases[what]["samples"], cases[base]["samples"]).median
            if middle > WORST:
                found.append(f"{name}: {what} {middle:.2f}")
    aim = f"At most {WORST:.0f} times `msgspec` was the aim. "
    aim += f"Beyond it: {'; '.join(found)}." if found else "All structures meet it."

    def steepest(prefix: str, suffix: str) -> float:
        sizes = [
            cases
            for name, cases in structures.items()
            if name.startswith(prefix) and name.rstrip("s").endswith(suffix)
        ]
        return max(
            rows.ratios(more[what]["samples"], fewer[what]["samples"]).median
            for fewer, more in pairwise(sizes)
            for what in ("publish", "read")
        )

    return (
        f"{aim} There is no cliff: ten times the keys cost at most {steepest('1', 'key'):.1f} times as much, "
        f"one level more at most {steepest('depth', ''):.2f} times."
    )


def machine(results: dict[str, Any]) -> str:
    about = results["machine"]
    kind = "a virtual machine with " if about["virtual machine"] else ""
    software = f"Linux {about['kernel']}, Python {about['Python']}"
    return f"{kind}{about['cores']} cores ({about['processor']}, {software})"


def count_table() -> str:
    """The committed instruction counts of the machine type that they were first made on."""
    stored = json.loads((HERE / "instructions.json").read_text())
    counts = stored[min(stored)]["counts"]
    lines = [
        [name, f"{row['instructions']:,.0f}", f"{row['calls out']:,.0f}" if "calls out" in row else ""]
        for name, row in sorted(counts.items(), key=lambda item: item[1]["instructions"])
    ]
    return markdown(["one call of", "instructions", "calls out"], lines)


def sample_factory(table: Sequence[rows.Row], found: dict[str, Any]) -> str:
    """The line about row k, if it was measured."""
    for row in table:
        if row.letter == "k":
            return SAMPLE_FACTORY.format(
                pairs=len(found["sample_factory"]["fps"]["queue"]),
                middle=times(row.found.median),
                low=times(row.found.q1),
                high=times(row.found.q3),
            )
    return ""


def fill(results: dict[str, Any]) -> dict[str, str]:
    groups = results["groups"]
    found = {name: group["result"] for name, group in groups.items()}
    table = rows.table(found)
    calls = {name: case["samples"] for name, case in found["calls"].items()}
    peers = {peer["name"]: peer for peer in peer_rows(found)}
    vector = max(found["vector_envs"], key=lambda row: row["envs"])
    pings = {
        mode: {side: [statistics.median(turn) for turn in turns] for side, turns in sides.items()}
        for mode, sides in found["wakeups"]["pings"].items()
    }
    bare = rows.spread(pings["futex"]["bare"])
    memory = found["memory"]
    failed = [f"{peer['name']} did not run: {peer['failed']}." for peer in peers.values() if "failed" in peer]
    failed += [f"{n} is {v}." for n, v in results["versions"].items() if v.startswith("not installed")]
    loads = [group["load before"] for group in groups.values()]
    reset = next(row for row in table if row.letter == "h")
    started = sorted(group["started"] for group in groups.values())
    return {
        "machine": machine(results),
        "when": started[0][:10] if started[0][:10] == started[-1][:10] else f"{started[0]} to {started[-1]}",
        "minutes": f"{sum(group['seconds'] for group in groups.values()) / 60:.0f}",
        "ratio_table": ratio_table(table),
        "missed": missed(table),
        "unchanged": ns(calls["unchanged read"]),
        "empty": ns(calls["empty PyO3 method"]),
        "empty_inlined": ns(calls["empty PyO3 method, inlined"]),
        "cached": ns(calls["floor: one load, then a cached dictionary"]),
        "reset_added": f"{reset.found.median:.0f} ns",
        "changed": ns(calls["changed read"]),
        "changed_steps": ns(calls["changed read (steps only)"]),
        "other_work": pictures.size_name(OTHER_WORK),
        "cold_unchanged": ns(calls["unchanged read, cold"]),
        "cold_changed": ns(calls["changed read, cold"]),
        "cold_decode": ns(calls["msgspec decode, cold"]),
        "floor": ns(calls["floor: build the dictionary"]),
        "held": ns(calls["changed read, the last one held"]),
        "held_ratio": against_decode(calls, "changed read, the last one held"),
        "all_held": ns(calls["changed read, the last three held"]),
        "all_held_ratio": against_decode(calls, "changed read, the last three held"),
        "publish": ns(calls["publish"]),
        "wakeup": ns(pings["futex"]["traincast"]),
        "wakeup_bare": ns(pings["futex"]["bare"]),
        "spin": ns(pings["spin"]["traincast"]),
        "sample_factory": sample_factory(table, found),
        "envs": str(vector["envs"]),
        "sb3": ns(vector["SB3 env_method"]) if "SB3 env_method" in vector else "(not installed)",
        "gymnasium": ns(vector["Gymnasium call"]),
        "blocked": ns(vector["traincast"]),
        "peer_table": peer_table(list(peers.values())),
        "failed": " ".join(failed) or "All of them installed and ran.",
        **fleet_tables(found["fleet"]),
        "size_table": size_table(found["arrays"]),
        "structure_table": structure_table(found["structures"]),
        "beyond": beyond(found["structures"]),
        "cores": str(results["machine"]["cores"]),
        "cache_line": ns([min(found["wakeups"]["cache_line_ns"])]),
        "lines": "four",
        "channel_size": f"{memory['channel'] / 1024:.0f} KiB",
        "readers": "4,096",
        "mappings": f"{memory['mappings']:.0f}",
        "reader_size": f"{memory['besides the dictionary']:.0f}",
        "loaded": ", ".join(memory["loaded by import"]) or "neither numpy, torch nor gymnasium",
        "raw_read": ns(peers["multiprocessing.RawValue"]["cases"]["changed"]["samples"]),
        "raw_write": ns(peers["multiprocessing.RawValue"]["cases"]["publish"]["samples"]),
        "processes": str(PROCESSES),
        "rounds": str(len(calls["publish"])),
        "channels": str(CHANNELS),
        "load": f"What one row compares was measured in one run; the groups of rows ran between "
        f"{started[0]} and {started[-1]}. When they started, {min(loads):.1f} to {max(loads):.1f} processes "
        f"(averaged over a minute) wanted one of the {results['machine']['cores']} cores.",
        "versions": ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        + f". {results['machine']['rustc']}.",
        "count_table": count_table(),
        "update": ns(calls["update(approx_total_training_steps=n)"]),
        "spin_bare": ns(pings["spin"]["bare"]),
        "bare_quartiles": f"{ns([bare.q1])} … {ns([bare.q3])}",
    }


def main() -> None:
    source = Path(sys.argv[1])
    results = json.loads(source.read_text())
    text = (HERE / "performance.md.in").read_text() + "\n" + (HERE / "profile.md").read_text()
    template = string.Template(text)
    page = source.with_suffix(".md")
    page.write_text(template.substitute(fill(results)).rstrip() + "\n")
    found = {name: group["result"] for name, group in results["groups"].items()}
    drawn = pictures.draw(found, peer_rows(found), source.parent / "images")
    print("written:", page, *drawn)


if __name__ == "__main__":
    main()
