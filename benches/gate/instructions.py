"""A gate against slower code that does not depend on the load of the machine: it counts instructions.

    python -m benches.gate.instructions            compare with benches/gate/instructions.json
    python -m benches.gate.instructions --accept   write the counts there as the new baseline

For one call of each operation it counts, under callgrind and within the native module alone, the
instructions and the calls that leave the module (into the C API of Python, the C library, the kernel). The
instructions of these callees differ between builds of Python and between processors (the C library picks its
`memcmp`), but how often they are called is ours. For the reset of the wrapper it also counts the lines and
calls of Python. The core alone, without Python, runs under gungraun (benches/core). All counts are the same
on a loaded machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benches.gate import callgrind
from benches.harness import ROOT
from benches.harness.tables import plain

BASELINE = Path(__file__).with_suffix(".json")
RUNNER = ROOT / "target" / "tools" / "bin" / "gungraun-runner"
MODULE = "_core."  # in the name of the native module's file
CORE = "instructions-"  # in that of the core's benchmarks, which cargo builds
CALLS = 200
TOLERANCE = 0.03
OTHER_COMPILER = 0.25  # another rustc generates other code, so only large changes mean anything
ACCEPT = "make accept-instructions"

Counts = dict[str, dict[str, float]]


def child(events: str) -> None:
    """Runs under callgrind: dumps the counts of each operation; the events of Python go to a file."""
    import traincast
    from benches.cases.payloads import payload, payloads
    from benches.cases.resets import Still
    from benches.harness.channels import own_directory

    counter = callgrind.Counter()
    infos = payloads(64)
    with own_directory(), traincast.TrainingInfoWriter("a", verify_every=math.inf) as writer:
        writer.publish(payload(1))
        reader = traincast.TrainingInfoReader("a")
        env = traincast.TrainingInfoWrapper(Still(), "a", on_undelivered="ignore")
        goal = reader.key("reward_shaping.goal")

        def unchanged() -> None:
            reader.read()

        def wrapper() -> None:
            env.reset()

        def publish() -> None:
            writer.publish(infos[turn % 64])

        def key() -> None:
            goal()

        operations = {
            "unchanged read": unchanged,
            "unchanged key": key,
            "wrapper reset": wrapper,
            "publish": publish,
        }
        turn = 0
        for _ in range(50):  # until caches, lazy binding and the interpreter's specialisation have settled
            for operation in operations.values():
                turn += 1
                operation()
        reader.read()
        goal()
        env.reset()
        with counter.instrumented():
            for name, operation in operations.items():
                counter.toggle()
                for _ in range(CALLS):
                    turn += 1
                    operation()
                counter.toggle()
                counter.dump(name)
            for name, operation in {"changed read": unchanged, "changed key": key}.items():
                for _ in range(CALLS):
                    turn += 1
                    publish()
                    counter.toggle()
                    operation()
                    counter.toggle()
                counter.dump(name)
        Path(events).write_text(json.dumps(python_events(env)))


def python_events(env: Any) -> int:
    """Lines and calls of Python in one reset of the wrapper, without those of the env itself."""
    count = 0

    def tracer(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename.endswith(os.path.join("traincast", "wrappers", "gymnasium.py")):
            count += event in ("call", "line")
            return tracer
        return None

    sys.settrace(tracer)
    env.reset()
    sys.settrace(None)
    return count


def parse(text: str, module: str = MODULE, calls: int = CALLS) -> dict[str, float]:
    """Return the instructions of a call within `module`, and the calls out of it, from a callgrind dump."""
    names: dict[str, str] = {}

    def name(value: str) -> str:
        number, _, rest = value.partition(" ")
        if not number.startswith("("):  # gungraun writes out the names
            return value
        if rest:
            names[number] = rest
        return names[number]

    found: Counter[str] = Counter()
    inside = callee_inside = after_calls = False
    for line in text.splitlines():
        if line.startswith("ob="):
            inside = callee_inside = module in Path(name(line[3:])).name
        elif line.startswith("cob="):
            callee_inside = module in Path(name(line[4:])).name
        elif line.startswith("calls="):
            if inside and not callee_inside:
                found["calls out"] += int(line[6:].split()[0])
            after_calls = True
        elif re.match(r"[0-9+*-]", line):
            if not after_calls and inside:
                found["instructions"] += int(line.split()[1])
            if after_calls:
                callee_inside = inside
            after_calls = False
    return {key: found[key] / calls for key in ("instructions", "calls out")}


def measure() -> Counts:
    with tempfile.NamedTemporaryFile(prefix="traincast-instructions-") as events:
        dumps = callgrind.dumps("benches.gate.instructions", "--child", events.name)
        counts = {name: parse(text) for name, text in sorted(dumps.items())}
        counts["wrapper reset"]["lines and calls of Python"] = json.loads(Path(events.name).read_text())
    return counts


def measure_core() -> Counts:
    """The core's benchmarks under gungraun."""
    command = ["cargo", "bench", "--locked", "--quiet", "--package", "traincast-bench-core"]
    command += ["--bench", "instructions"]
    with tempfile.TemporaryDirectory(prefix="traincast-instructions-") as home:
        environment = os.environ | {"GUNGRAUN_RUNNER": str(RUNNER), "GUNGRAUN_HOME": home}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the core's run under callgrind failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return {
            f"core: {dump.name.split('.')[1].replace('_', ' ')}": parse_core(dump.read_text())
            for dump in sorted(Path(home).rglob("callgrind.*.out"))
        }


def parse_core(text: str) -> dict[str, float]:
    """Instructions alone: callgrind counts the calls of a benchmark's setup, too."""
    return {"instructions": parse(text, CORE, calls=1)["instructions"]}


def compiler() -> str:
    done = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[1]


def compare(counts: Counts, baseline: Counts, tolerance: float) -> tuple[list[str], list[str]]:
    """Return sentences on what is worse than the baseline by more than `tolerance`, and on what is better."""
    worse: list[str] = []
    better: list[str] = []
    for operation in sorted(counts.keys() | baseline.keys()):
        now, before = counts.get(operation, {}), baseline.get(operation, {})
        for what in sorted(now.keys() | before.keys()):
            if what not in now or what not in before:
                worse.append(f"{operation}: {what} is {'not measured' if what in before else 'new'}")
            elif abs(now[what] - before[what]) > tolerance * before[what]:
                change = f"{now[what] / before[what] - 1:+.1%}" if before[what] else "from none"
                sentence = f"{operation}: {now[what]:.1f} {what}, was {before[what]:.1f} ({change})"
                (worse if now[what] > before[what] else better).append(sentence)
    return worse, better


def judge(counts: Counts, stored: dict[str, Any], machine: str, rustc: str) -> tuple[bool, str]:
    """Return whether the counts pass, and the lines to print."""
    if machine not in stored:
        return True, f"There is no baseline for {machine}: nothing to compare with. `{ACCEPT}` makes one."
    said, made_with = [], stored[machine]["rustc"]
    tolerance = TOLERANCE
    if made_with != rustc:
        tolerance = OTHER_COMPILER
        said.append(
            f"The baseline was made with rustc {made_with}, this is {rustc}: {tolerance:.0%} tolerated."
        )
    worse, better = compare(counts, stored[machine]["counts"], tolerance)
    if better:
        said += [f"Better than {BASELINE.name} (`{ACCEPT}` keeps it so):", *(f"  {line}" for line in better)]
    if worse:
        said += [f"More than {tolerance:.0%} worse than {BASELINE.name}:", *(f"  {line}" for line in worse)]
        said.append(f"If that is meant, `{ACCEPT}` writes the new baseline: commit it with the change.")
    else:
        said.append(f"Nothing is more than {tolerance:.0%} worse than {BASELINE.name}.")
    return not worse, "\n".join(said)


def table(counts: Counts) -> str:
    lines = []
    for operation, row in counts.items():
        out = f"{row['calls out']:.1f}" if "calls out" in row else ""
        python = str(row.get("lines and calls of Python", ""))
        lines.append([operation, f"{row['instructions']:.1f}", out, python])
    return plain(["one call of", "instructions", "calls out", "Python"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="write the baseline")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    counts, rustc, machine = measure() | measure_core(), compiler(), platform.machine()
    print(table(counts))
    stored = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if options.accept:
        stored[machine] = {"rustc": rustc, "counts": counts}
        BASELINE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
        print(f"written to {BASELINE}")
        return
    passed, said = judge(counts, stored, machine, rustc)
    print(said)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
