"""Prints the figures that traincast promises, against their floors, measured side by side.

python -m benches.report.promises [--rounds 301]
"""

from __future__ import annotations

import argparse
import json

from benches.cases import calls
from benches.cases.memory import HEAVY, READERS
from benches.harness.channels import own_directory
from benches.harness.figures import ratios
from benches.harness.processes import python
from benches.harness.rounds import Case, measure
from benches.harness.tables import plain


def timed(case: Case, base: Case, limit: float) -> tuple[str, str, str, str]:
    found = ratios(case.samples, base.samples)
    value = f"{found.median:.2f}x ({found.q1:.2f}…{found.q3:.2f}; {case.median:.1f} / {base.median:.1f} ns)"
    return f"{case.name} / {base.name}", value, f"at most {limit}x", verdict(found.median <= limit)


def verdict(met: bool) -> str:
    return "ok" if met else "MISSED"


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=301)
    options = arguments.parse_args()
    with own_directory():
        cases = [
            *calls.unchanged(),
            *calls.changed(),
            *calls.changed(5.0, " (steps only)"),
            *calls.keys(),
            *calls.publishing(),
        ]
        measure(cases, options.rounds)
    named = {case.name: case for case in cases}
    sizes = json.loads(python("-m", "benches.cases.memory"))
    heavy, kib, reader = sizes["loaded by import"], sizes["channel"] / 1024, sizes["besides the dictionary"]
    lines = [
        timed(named["unchanged read"], named["empty PyO3 method"], 2.0),
        timed(named["key, nothing new"], named["unchanged read"], 1.5),
        (
            "key, all changed",
            f"{named['key, all changed'].median:.1f} ns",
            "at most 60 ns",
            verdict(named["key, all changed"].median <= 60),
        ),
        timed(named["changed read"], named["msgspec decode"], 1.5),
        timed(named["changed read (steps only)"], named["msgspec decode (steps only)"], 1.5),
        timed(named["publish"], named["msgspec encode"], 2.0),
        timed(named["update(approx_total_training_steps=n)"], named["publish"], 1.0),
        (
            "loaded by `import traincast`",
            ", ".join(heavy) or "none of " + ", ".join(HEAVY),
            "none",
            verdict(not heavy),
        ),
        ("a channel of small snapshots", f"{kib:.0f} KiB", "at most 320 KiB", verdict(kib <= 320)),
        (f"mappings for {READERS} readers", f"{sizes['mappings']}", "1", verdict(sizes["mappings"] == 1)),
        (
            "a reader besides its dictionary",
            f"{reader:.0f} bytes ({sizes['attached']:.0f} before its first read)",
            "at most 1024",
            verdict(reader <= 1024),
        ),
    ]
    print(plain(["", "found", "promised", ""], lines), end="\n\n")
    print(plain(["call", "ns"], [(case.name, f"{case.median:.1f}") for case in cases]))


if __name__ == "__main__":
    main()
