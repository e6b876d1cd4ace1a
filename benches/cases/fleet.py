"""Many readers: do they slow down the writer, and how soon do they get a snapshot?"""

from __future__ import annotations

import os
import statistics
from time import monotonic_ns, sleep
from typing import Any

import traincast
from benches.cases.payloads import STEPS, payload, payloads
from benches.harness.processes import Children, Notes
from benches.harness.rounds import TARGET_NS, each, measure

IDLE = (1, 10, 100, 1000)
BUSY = (1, 4, 16, 64, 256)
WAITING = (1, 2, 4, 16, 64, 256)
IN_PROCESS = (1, 4, 16, 64, 256, 1024, 4096)
RATES = (10, 100, 1_000, 10_000, 100_000)
PERIOD_S = 0.001


def _compare(attached: Any, alone: Any, rounds: int, target_ns: float = TARGET_NS) -> dict[str, list[float]]:
    """Both publish the same objects, because their place in memory matters by up to a tenth."""
    infos = payloads(64)
    writers = {"attached": attached, "alone": alone}
    cases = [each(name, "publish(item)", infos, publish=writer.publish) for name, writer in writers.items()]
    measure(cases, rounds, target_ns=target_ns)
    return {case.name: case.samples for case in cases}


def _await(notes: Notes, rows: range) -> None:
    while not all(notes.row(index)[0] for index in rows):
        sleep(0.01)


def idle(rounds: int) -> list[dict[str, Any]]:
    """Measure publish with this many attached processes, and on a channel without any, in turn."""

    def work(index: int) -> None:
        with traincast.TrainingInfoReader("fleet") as reader:
            reader.read()
            notes.row(index)[0] = 1
            os.read(blocked, 1)

    notes = Notes(IDLE[-1], 1)
    blocked, control = os.pipe()
    found = []
    with (
        traincast.TrainingInfoWriter("fleet") as attached,
        traincast.TrainingInfoWriter("alone") as alone,
        Children() as children,
    ):
        attached.publish(payload(0))
        alone.publish(payload(0))
        for count in IDLE:
            before = len(children.pids)
            children.start(work, count - before)
            _await(notes, range(before, count))
            found.append({"readers": count, **_compare(attached, alone, rounds)})
    os.close(control)
    os.close(blocked)
    return found


def busy(rounds: int) -> list[dict[str, Any]]:
    """The same while each reader reads a thousand times a second, or as often as the machine can."""

    def work(index: int) -> None:
        mine = notes.row(index)
        with traincast.TrainingInfoReader("fleet") as reader:
            while True:
                reader.read()
                mine[0] += 1
                sleep(PERIOD_S)

    found = []
    for count in BUSY:
        notes = Notes(count, 1)
        with (
            traincast.TrainingInfoWriter("fleet") as attached,
            traincast.TrainingInfoWriter("alone") as alone,
            Children() as children,
        ):
            attached.publish(payload(0))
            alone.publish(payload(0))
            children.start(work, count)
            _await(notes, range(count))
            start, reads = monotonic_ns(), sum(notes.row(index)[0] for index in range(count))
            # Short, so that the readers, which compete for the core, interrupt few of the measurements.
            samples = _compare(attached, alone, rounds * 5, TARGET_NS / 8)
            reads = sum(notes.row(index)[0] for index in range(count)) - reads
            rate = reads / (monotonic_ns() - start) * 1e9 / count
            found.append({"readers": count, "reads per second of each": rate, **samples})
    return found


def freshness(pings: int) -> list[dict[str, Any]]:
    """Readers that sleep in `wait()`: when do the median and the last one have the new dictionary?"""

    def work(index: int) -> None:
        mine = notes.row(index)
        with traincast.TrainingInfoReader("fleet") as reader:
            reader.read()
            mine[0] = 1
            while True:
                reader.wait()
                info = reader.read()
                mine[info["epoch"] + 1] = monotonic_ns() - info[STEPS]

    found = []
    for count in WAITING:
        notes = Notes(count, pings + 2)
        with traincast.TrainingInfoWriter("fleet") as writer, Children() as children:
            writer.publish(payload(0))
            children.start(work, count)
            _await(notes, range(count))
            info = payload(0)
            middle, last = [], []
            for ping in range(1, pings + 1):
                sleep(0.005 + count * 0.0002)
                info["epoch"] = ping
                info[STEPS] = monotonic_ns()
                writer.publish(info)
                while not all(notes.row(index)[ping + 1] for index in range(count)):
                    sleep(0.001)
                delays = [float(notes.row(index)[ping + 1]) for index in range(count)]
                middle.append(statistics.median(delays))
                last.append(max(delays))
            found.append({"readers": count, "median reader": middle, "last reader": last})
    return found


def in_process(rounds: int) -> list[dict[str, Any]]:
    """Many envs in one process, each with a reader of its own."""
    found = []
    infos = payloads(64)
    with traincast.TrainingInfoWriter("fleet") as writer:
        writer.publish(infos[0])
        turn = 0

        def publish() -> None:
            nonlocal turn
            turn = (turn + 1) % len(infos)
            writer.publish(infos[turn])

        for count in IN_PROCESS:
            readers = [traincast.TrainingInfoReader("fleet") for _ in range(count)]
            for reader in readers:
                reader.read()
            cases = [
                each("publish", "publish(item)", infos, publish=writer.publish),
                each("changed read", "item.read()", readers, publish),
            ]
            measure(cases, rounds)
            for reader in readers:
                reader.read()
            still = [each("unchanged read", "item.read()", readers)]
            measure(still, rounds)
            found.append({"readers": count, **{case.name: case.samples for case in cases + still}})
    return found


def rates(seconds: float) -> list[dict[str, Any]]:
    """Nanoseconds of each `read()` by a reader that never stops, while another process publishes."""

    def work(_: int) -> None:
        mine = notes.row(0)
        batch = 256
        with traincast.TrainingInfoReader("fleet") as reader:
            read = reader.read
            slot = 2
            while True:
                first = read()["epoch"]
                start = monotonic_ns()
                for _ in range(batch):
                    read()
                took = monotonic_ns() - start
                news = read()["epoch"] - first
                mine[slot] = took * 1000 // batch
                mine[slot + 1] = news
                slot += 2
                if slot + 1 >= columns:
                    slot = 2
                mine[0] = 1

    columns = 4096
    found = []
    for rate in RATES:
        notes = Notes(1, columns)
        with traincast.TrainingInfoWriter("fleet") as writer, Children() as children:
            info = payload(0)
            writer.publish(info)
            children.start(work)
            _await(notes, range(1))
            start = monotonic_ns()
            published = 0
            while (now := monotonic_ns() - start) < seconds * 1e9:
                due = int(now * rate / 1e9)
                if due > published:
                    published += 1
                    info["epoch"] = published
                    writer.publish(info)
                elif rate <= 1_000:
                    sleep(0.2 / rate)
            reached = published / (monotonic_ns() - start) * 1e9
            picoseconds = [value for value in notes.row(0)[2::2] if value]
            found.append({"rate": rate, "reached": reached, "read": [value / 1000 for value in picoseconds]})
    return found


def run(rounds: int) -> dict[str, Any]:
    return {
        "idle": idle(rounds),
        "busy": busy(rounds),
        "freshness": freshness(max(rounds // 3, 5)),
        "in_process": in_process(max(rounds // 3, 5)),
        "rates": rates(1.0),
    }
