"""What a relay adds to its engine, and what it costs the learner: prints a table for docs/nodes.md.

    python tests/relay/measure.py [SECONDS]

Nodes are network namespaces of this machine, so all clocks are one. The bare engine and the relay take turns,
at 20 Hz each. Bare: `put` in one process until `wait` returns in another. Relay: `publish` until an env on
another node, asleep in `wait`, has the dictionary.
"""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import tempfile
from pathlib import Path

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from nodes import Cluster, why_no_namespaces  # noqa: E402 - the paths come first

PORT = 14_999

ENV = f"""
import threading
from traincast.relay.tcpstore import StoreEngines
def from_relay():
    while True:
        reader.wait(10)
        info = reader.read_if_changed()
        if info is not None and info.get("end"):
            return
        if info is not None and "t" in info:
            relayed.append(time.monotonic_ns() - info["t"])
def from_engine():
    mark = None
    while True:
        news = engine.wait("bare", mark, 1.0)
        if news is None:
            continue
        mark, value = news
        if value == b"end":
            return
        bare.append(time.monotonic_ns() - int.from_bytes(value[:8], "little"))
bare, relayed = [], []
engine = StoreEngines(host, {PORT}, "bare").connect()
thread = threading.Thread(target=from_engine)
thread.start()
"""

LEARNER = f"""
from traincast.relay.tcpstore import StoreEngines
engines = StoreEngines(os.environ["MASTER_ADDR"], {PORT}, "bare")
engine = engines.connect()
def send(size, seconds):
    padding = os.urandom(size)
    for _ in range(int(seconds * 20)):
        engine.put("bare", time.monotonic_ns().to_bytes(8, "little") + padding)
        time.sleep(0.025)
        writer.publish({{"approx_total_training_steps": 1, "t": time.monotonic_ns(), "padding": padding}})
        time.sleep(0.025)
    engine.put("bare", b"end")
    writer.publish({{"approx_total_training_steps": 1, "end": True}})
def cost(count):
    start, on_cpu = time.perf_counter_ns(), time.thread_time_ns()
    for steps in range(count):
        writer.update(approx_total_training_steps=steps)
    return (time.perf_counter_ns() - start) / count, (time.thread_time_ns() - on_cpu) / count
"""


def quantiles(samples: list[int]) -> str:
    ordered = sorted(samples)
    p99 = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
    return f"{statistics.median(ordered) / 1e6:.2f} / {p99 / 1e6:.2f}"


def latency(root: Path, nodes: int, size: int, seconds: float) -> None:
    with Cluster(root / f"{nodes}-{size}", f"measure-{nodes}-{size}") as cluster:
        cluster.root.mkdir(mode=0o700)
        cluster.environment = {"TRAINCAST_KEY": secrets.token_hex(16)}
        here = cluster.node()
        learner = here.learner()
        learner.run(LEARNER)
        envs = []
        for _ in range(nodes):
            there = cluster.node()
            there.joined().run("member.leave()")
            env = there.env()
            env.run(f"host = {here.address!r}\n{ENV}")
            env.start("from_relay()\nthread.join()")
            envs.append(env)
        learner.call("send", size, seconds)
        bare, relayed = [], []
        for env in envs:
            env.finish()
            bare += env.value("bare")
            relayed += env.value("relayed")
        print(f"| {size:,} B, {nodes} | {quantiles(bare)} | {quantiles(relayed)} |", flush=True)


def cost(root: Path, rounds: int = 15) -> None:
    """Nanoseconds of a publish in a tight loop: alone, and with a relay and 0, 1, 3 nodes that listen."""
    with Cluster(root / "cost", "measure-cost") as cluster:
        cluster.root.mkdir(mode=0o700)
        here = cluster.node()
        alone = here.python()
        alone.run("writer = traincast.TrainingInfoWriter('alone')")
        alone.run("def cost" + LEARNER.split("def cost")[1])
        alone.call("writer.publish", {"approx_total_training_steps": 1})
        learner = here.learner()
        learner.run("def cost" + LEARNER.split("def cost")[1])
        for nodes in (0, 1, 3):
            while len(cluster.nodes) < nodes + 1:
                cluster.node().joined().run("member.leave()")
            rows = [(*alone.call("cost", 200_000), *learner.call("cost", 200_000)) for _ in range(rounds)]
            wall, cpu, wall_relayed, cpu_relayed = map(statistics.median, zip(*rows, strict=True))
            print(
                f"| {nodes} | {wall:.0f} | {wall_relayed:.0f} | {wall_relayed / wall:.2f} "
                f"| {cpu:.0f} | {cpu_relayed:.0f} | {cpu_relayed / cpu:.2f} |",
                flush=True,
            )


def main() -> None:
    if why := why_no_namespaces():
        sys.exit(why)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(
            "| nodes that listen | alone, ns | with a relay | ratio | alone, CPU ns | with a relay | ratio |"
        )
        print("|-|-|-|-|-|-|-|")
        cost(Path(root))
        print("| snapshot, nodes | bare TCPStore, p50 / p99 ms | relay, p50 / p99 ms |\n|-|-|-|")
        for nodes in (1, 4):
            for size in (200, 400_000):
                latency(Path(root), nodes, size, seconds)


if __name__ == "__main__":
    main()
