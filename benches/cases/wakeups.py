"""The time from `publish` to a reader in another process that has noticed it, against the same in bare C."""

from __future__ import annotations

import os
import subprocess
from time import monotonic_ns, sleep
from typing import Any

import traincast
from benches.cases.payloads import STEPS, payload
from benches.harness.floor import BUILD
from benches.harness.processes import Children, Notes

PINGS = 100  # in a round
CORES = os.sched_getaffinity(0)
# Between pings: a process that wakes a sleeper sleeps itself; one with a spinning reader works.
PAUSES_NS = {"futex": 1_000_000, "spin": 100_000}


def bare(mode: str, count: int) -> list[float]:
    """Nanoseconds of `count` pings of the C program."""
    command = [str(BUILD / "ping"), mode, str(count), str(PAUSES_NS.get(mode, 0) // 1000)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in done.stdout.split()]


def cache_line(count: int = 20_000) -> float:
    """Nanoseconds that a cache line takes from one core to another, if both are free."""
    return bare("line", count)[0]


def _pin(place: int) -> None:
    """Give each a core of its own: a spinning reader needs it, and waking on the same core is cheaper."""
    cores = sorted(CORES)
    os.sched_setaffinity(0, {cores[place % len(cores)]})


def _receive(mode: str, notes: Notes, commands: int) -> None:
    with traincast.TrainingInfoReader(f"wake-{mode}") as reader:
        _pin(1)
        mine = notes.row(0)
        while os.read(commands, 1):
            reader.read()
            mine[0] = monotonic_ns()  # ready
            seen = 1
            while seen <= PINGS:
                if mode == "futex":
                    reader.wait()
                else:
                    while not reader.changed():
                        pass
                now = monotonic_ns()
                info = reader.read()
                seen = info["epoch"] + 1
                mine[seen - 1] = now - info[STEPS]
            mine[0] = 0


def _ours(mode: str, writer: traincast.TrainingInfoWriter, notes: Notes, commands: int) -> list[float]:
    mine = notes.row(0)
    for index in range(1, PINGS + 1):
        mine[index] = 0
    os.write(commands, b"!")
    while not mine[0]:
        sleep(0.0001)
    info = payload(0)
    for index in range(1, PINGS + 1):
        info["epoch"] = index
        if mode == "futex":
            sleep(PAUSES_NS[mode] / 1e9)
        else:
            until = monotonic_ns() + PAUSES_NS[mode]
            while monotonic_ns() < until:
                pass
        info[STEPS] = monotonic_ns()
        writer.publish(info)
        while not mine[index]:
            sleep(0.00001)
    while mine[0]:
        sleep(0.0001)
    return [float(value) for value in mine[1 : PINGS + 1] if value]


def run(rounds: int) -> dict[str, Any]:
    """Samples in ns of each mode, ours and bare, in rounds that take turns."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    for mode in PAUSES_NS:
        notes = Notes(1, PINGS + 1)
        commands, control = os.pipe()
        with traincast.TrainingInfoWriter(f"wake-{mode}") as writer, Children() as children:
            writer.publish(payload(0))
            children.start(lambda _: _receive(mode, notes, commands))  # noqa: B023 - runs at once, in the child
            sides: dict[str, list[list[float]]] = {"traincast": [], "bare": []}
            _pin(0)
            for turn in range(rounds):
                for side in ("traincast", "bare")[:: 1 if turn % 2 else -1]:
                    ours = side == "traincast"
                    sides[side].append(_ours(mode, writer, notes, control) if ours else bare(mode, PINGS))
            found[mode] = sides
        os.sched_setaffinity(0, CORES)
        os.close(commands)
        os.close(control)
    return {"pings": found, "cache_line_ns": [cache_line() for _ in range(25)]}
