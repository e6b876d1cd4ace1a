"""What a relay adds to its engine, and what it costs the learner: prints tables for docs/nodes.md.

    python tests/relay/measure.py [--seconds S] [--nodes 1,4,16] [--json FILE] [latency] [overload] [cost]

Nodes are network namespaces of this machine, so all clocks are one. Three ways take turns, at 13 Hz each:

- bare: `put` in the learner's process until `wait` returns in a process on another node;
- sealed: the same, and each value carries an HMAC, made there and checked here, as the relay's messages do;
- relay: `publish` until an env on the other node, asleep in `wait`, has the dictionary.
"""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from latencies import HEADING, Quantiles, Row, save  # noqa: E402 - the paths come first
from nodes import Cluster, Node, why_no_namespaces  # noqa: E402 - as said above
from processes import Process  # noqa: E402 - as said above

PORT = 14_999
SIZES = (200, 400_000)
HERTZ = 13

turns = itertools.count()
"""So that nobody takes the end of an earlier turn, which the engine still holds, for that of its own."""

BOTH = """
import hashlib, hmac, os, threading
key = os.environb[b"TRAINCAST_KEY"]
"""

ENV = f"""{BOTH}
def from_relay(turn):
    while True:
        reader.wait(10)
        info = reader.read_if_changed()
        if info is not None and info.get("end") == turn:
            return
        if info is not None and "t" in info:
            relayed.append(time.monotonic_ns() - info["t"])
mark = None
def from_engine(turn):
    global mark
    while True:
        news = engine.wait("bare", mark, 1.0)
        if news is None:
            continue
        mark, value = news
        if value[:3] == b"end":
            if value[3:] == str(turn).encode():
                return
            continue
        if value[8]:
            tag = hmac.new(key, value[:-32], hashlib.sha256).digest()
            assert hmac.compare_digest(tag, value[-32:])
        (sealed if value[8] else bare).append(time.monotonic_ns() - int.from_bytes(value[:8], "little"))
def both(turn):
    thread = threading.Thread(target=from_engine, args=(turn,))
    thread.start()
    from_relay(turn)
    thread.join()
def taken():
    answer = bare[:], sealed[:], relayed[:]
    for samples in (bare, sealed, relayed):
        samples.clear()
    return answer
bare, sealed, relayed = [], [], []
"""

STORE_OF_ENV = f"""
from traincast.relay.tcpstore import StoreEngines
engine = StoreEngines(host, {PORT}, "bare").connect()
"""

COST = """
def cost(count):
    start, on_cpu = time.perf_counter_ns(), time.thread_time_ns()
    for steps in range(count):
        writer.update(approx_total_training_steps=steps)
    return (time.perf_counter_ns() - start) / count, (time.thread_time_ns() - on_cpu) / count
"""

STORE_OF_LEARNER = f"""
import os
from traincast.relay.tcpstore import StoreEngines
engines = StoreEngines(os.environ["MASTER_ADDR"], {PORT}, "bare")
engine = engines.connect()
"""

LEARNER = f"""{BOTH}
def put(padding, sealed):
    value = time.monotonic_ns().to_bytes(8, "little") + bytes([sealed]) + bytes(7) + padding
    engine.put("bare", value + hmac.new(key, value, hashlib.sha256).digest() if sealed else value)
def publish(padding):
    writer.publish({{"approx_total_training_steps": 1, "t": time.monotonic_ns(), "padding": padding}})
def end(turn):
    engine.put("bare", b"end" + str(turn).encode())
    writer.publish({{"approx_total_training_steps": 1, "end": turn}})
def send(turn, size, seconds):
    padding = os.urandom(size)
    for _ in range(int(seconds * {HERTZ})):
        put(padding, False)
        time.sleep(0.025)
        put(padding, True)
        time.sleep(0.025)
        publish(padding)
        time.sleep(0.025)
    end(turn)
def send_at(turn, size, hertz, seconds):
    padding, until = os.urandom(size), time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        publish(padding)
        count += 1
        time.sleep(1 / hertz)
    time.sleep(1)
    end(turn)
    return count
"""


def listener(cluster: Cluster, here: Node) -> tuple[Node, Process]:
    """A node with a relay, and an env on it."""
    there = cluster.node()
    there.joined().run("member.leave()")
    env = there.env()
    env.run(f"host = {here.address!r}\n{STORE_OF_ENV}{ENV}")
    return there, env


def cluster_at(root: Path, name: str) -> Cluster:
    cluster = Cluster(root / name, f"measure-{name}")
    cluster.root.mkdir(mode=0o700)
    cluster.environment = {"TRAINCAST_KEY": secrets.token_hex(16)}
    return cluster


def compare(learner: Process, envs: list[Process], seconds: float) -> Iterator[Row]:
    """A row for each size: how long values and snapshots take to these envs, in turns."""
    for size in SIZES:
        turn = next(turns)
        for env in envs:
            env.start(f"both({turn})")
        learner.call("send", turn, size, seconds)
        samples: tuple[list[int], ...] = ([], [], [])
        for env in envs:
            env.finish()
            for all_of_them, these in zip(samples, env.value("taken()"), strict=True):
                assert len(these) > seconds * HERTZ / 2, f"an env has only received {len(these)}"
                all_of_them += these
        bare, sealed, relay = map(Quantiles.of, samples)
        row = Row(size, len(envs), bare, relay, sealed)
        print(row, flush=True)
        yield row


def latency(root: Path, counts: list[int], seconds: float) -> Iterator[Row]:
    print(HEADING.format("TCPStore"))
    with cluster_at(root, "latency") as cluster:
        here = cluster.node()
        learner = here.learner()
        learner.run(STORE_OF_LEARNER + LEARNER)
        envs: list[Process] = []
        for count in counts:
            while len(envs) < count:
                envs.append(listener(cluster, here)[1])
            yield from compare(learner, envs, seconds)


def limit(node: Node, megabits: int) -> None:
    """Let no more than this into a node."""
    shape = f"rate {megabits}mbit burst 64k latency 100ms"
    subprocess.run(["tc", "qdisc", "add", "dev", node._link, "root", "tbf", *shape.split()], check=True)


def overload(root: Path, seconds: float, megabits: int = 100) -> None:
    """Snapshots of 400 KB over a slow link: now and then, and 64 times as fast as the link can be."""
    print(f"| 400 KB over {megabits} Mbit/s | published | arrived | p50 ms | p99 ms |\n|-|-|-|-|-|")
    with cluster_at(root, "overload") as cluster:
        here = cluster.node()
        learner = here.learner()
        learner.run(STORE_OF_LEARNER + LEARNER)
        there, env = listener(cluster, here)
        limit(there, megabits)
        size = SIZES[-1]
        fastest = megabits * 1e6 / 8 / size
        for name, hertz in (("now and then", fastest / 8), ("64 times as fast", 64 * fastest)):
            turn = next(turns)
            env.start(f"from_relay({turn})")
            published = learner.call("send_at", turn, size, hertz, seconds)
            env.finish()
            _, _, arrived = env.value("taken()")
            p50, p99 = Quantiles.of(arrived)
            print(f"| {name} | {published} | {len(arrived)} | {p50:.1f} | {p99:.1f} |", flush=True)


class Cost(NamedTuple):
    """Nanoseconds of a publish in a tight loop."""

    wall: float
    wall_relayed: float
    cpu: float
    cpu_relayed: float

    HEADING = (
        "| nodes that listen | alone, ns | with a relay | ratio | alone, CPU ns | with a relay | ratio |\n"
        "|-|-|-|-|-|-|-|"
    )

    @classmethod
    def of(cls, alone: Process, learner: Process, rounds: int = 15) -> Self:
        """Two processes with a `writer` and COST take turns; the second one's node has a relay."""
        rows = [(*alone.call("cost", 200_000), *learner.call("cost", 200_000)) for _ in range(rounds)]
        wall, cpu, wall_relayed, cpu_relayed = map(statistics.median, zip(*rows, strict=True))
        return cls(wall, wall_relayed, cpu, cpu_relayed)

    def __str__(self) -> str:
        return (
            f"{self.wall:.0f} | {self.wall_relayed:.0f} | {self.wall_relayed / self.wall:.2f} | "
            f"{self.cpu:.0f} | {self.cpu_relayed:.0f} | {self.cpu_relayed / self.cpu:.2f} |"
        )


def cost(root: Path) -> None:
    """What a publish costs alone, and with a relay and 0, 1, 3 nodes that listen."""
    print(Cost.HEADING)
    with cluster_at(root, "cost") as cluster:
        here = cluster.node()
        alone = here.python()
        alone.run("writer = traincast.TrainingInfoWriter('alone')")
        alone.run(COST)
        alone.call("writer.publish", {"approx_total_training_steps": 1})
        learner = here.learner()
        learner.run(COST)
        for nodes in (0, 1, 3):
            while len(cluster.nodes) < nodes + 1:
                cluster.node().joined().run("member.leave()")
            print(f"| {nodes} | {Cost.of(alone, learner)}", flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of all measure scripts."""
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--nodes", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 16])
    parser.add_argument("--json", type=Path, help="save the latencies in this file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["latency", "overload", "cost"])
    add_options(parser)
    args = parser.parse_args()
    if why := why_no_namespaces():
        sys.exit(why)
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        if "latency" in args.what:
            save(args.json, "TCPStore", latency(Path(root), args.nodes, args.seconds))
        if "overload" in args.what:
            overload(Path(root), args.seconds)
        if "cost" in args.what:
            cost(Path(root))


if __name__ == "__main__":
    main()
