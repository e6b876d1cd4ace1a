"""A gate against costs that grow faster than the number of leaves.

    python -m benches.gate.growth

It counts, under callgrind, all instructions of a publish and of a read, for structures that differ only in
the number of their leaves: TIMES as many leaves may cost TIMES as much and a little more. Times would tell
less, because small structures fit into the caches and large ones do not.
"""

from __future__ import annotations

import argparse
import gc
import math
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from benches.gate import callgrind
from benches.harness.channels import own_directory
from benches.harness.tables import plain

FEW, TIMES = 1_000, 16
TOLERANCE = 1.25  # hash tables are not equally full; a quadratic part costs up to TIMES as much again
STRUCTURES: dict[str, Callable[[int], dict[str, Any]]] = {
    "numbers": lambda n: {f"k{i}": float(i) for i in range(n)},
    "strings in a dictionary": lambda n: {f"k{i}": "ab" for i in range(n)},
    "strings in a list": lambda n: {"x": ["ab"] * n},
    "lists in a list": lambda n: {"x": [[1]] * n},
    "dictionaries in a list": lambda n: {"x": [{"a": 1.0}] * n},
    "dictionaries in dictionaries": lambda n: {f"k{i}": {"a": 1.0} for i in range(n)},
    "tuples in a dictionary": lambda n: {f"k{i}": (i, "ab") for i in range(n)},
}
# At first a structure is new to both sides; they follow it from copies once it has come again.
ROUNDS = {0: "new", 4: "known"}
BESIDE = "a small new structure beside"


def child() -> None:
    """Runs under callgrind: publishes and reads."""
    import traincast

    gc.disable()  # it would traverse all containers again and again while more are made
    counter = callgrind.Counter()

    def info(**entries: Any) -> dict[str, Any]:
        return {"approx_total_training_steps": 0, **entries}

    with own_directory(), counter.instrumented():
        for structure, make in STRUCTURES.items():
            for leaves in (FEW, FEW * TIMES):
                name = f"{structure.replace(' ', '-')}-{leaves}"
                with traincast.TrainingInfoWriter(
                    name, max_capacity=1 << 28, verify_every=math.inf
                ) as writer:
                    writer.publish(info())
                    with traincast.TrainingInfoReader(name) as reader:
                        for turn in range(max(ROUNDS) + 1):
                            made = info(**make(leaves))  # with new key objects each time
                            publish, read = partial(writer.publish, made), reader.read
                            if turn in ROUNDS:
                                state = f"{ROUNDS[turn]} {structure}/{leaves}"
                                counter.count(publish, f"publish/{state}")
                                counter.count(read, f"read/{state}")
                            else:
                                publish()
                                read()
                        assert read() == made
                    counter.count(
                        partial(writer.publish, info(unknown=1.0)), f"publish/{BESIDE} {structure}/{leaves}"
                    )


def measure() -> dict[str, dict[int, int]]:
    """Instructions by leaves, for each operation."""
    counts: dict[str, dict[int, int]] = {}
    for name, text in callgrind.dumps("benches.gate.growth", "--child").items():
        operation, structure, leaves = name.split("/")
        total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
        assert total is not None, name
        counts.setdefault(f"{operation}: {structure}", {})[int(leaves)] = int(total[1])
    return counts


def judge(counts: dict[str, dict[int, int]]) -> tuple[bool, str]:
    """Whether the counts pass, and a table of them."""
    head = ["instructions", f"{FEW} leaves", f"{FEW * TIMES} leaves", "times", ""]
    lines, passed = [], True
    for what, by_leaves in sorted(counts.items()):
        few, many = by_leaves[FEW], by_leaves[FEW * TIMES]
        limit = TOLERANCE * (1 if BESIDE in what else TIMES)
        fine = many / few <= limit
        passed &= fine
        said = "" if fine else f"more than {limit:g}"
        lines.append([what, str(few), str(many), f"{many / few:.2f}", said])
    return passed, plain(head, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().child:
        child()
        return
    passed, said = judge(measure())
    print(said)
    sys.exit(
        0 if passed else f"Costs grow faster than the leaves, of which there were {TIMES} times as many."
    )


if __name__ == "__main__":
    main()
