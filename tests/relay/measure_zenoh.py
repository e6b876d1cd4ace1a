"""What a relay adds to Zenoh, and how fast news of deaths travels: prints the tables for docs/nodes.md.

    python tests/relay/measure_zenoh.py [SECONDS]

As in measure.py: nodes are network namespaces of this machine, the bare engine and the relay take turns at
20 Hz each. Bare: `put` of Zenoh in one process until a subscriber on another node has it, by the same router.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from measure import quantiles  # noqa: E402 - the paths come first
from nodes import Cluster, until, why_no_namespaces  # noqa: E402
from test_zenoh import Relays  # noqa: E402

BARE = """
import threading
from traincast.relay.session import Network, zenoh
session = Network([endpoint]).session()[1]
"""

ENV = """
bare, relayed, done = [], [], threading.Event()
def bare_value(sample):
    value = sample.payload.to_bytes()
    done.set() if value == b"end" else bare.append(time.monotonic_ns() - int.from_bytes(value[:8], "little"))
subscriber = session.declare_subscriber("bare", zenoh.handlers.Callback(bare_value, indirect=False))
def follow():
    while True:
        reader.wait(10)
        info = reader.read_if_changed()
        if info is not None and info.get("end"):
            done.wait(10)
            return
        if info is not None and "t" in info:
            relayed.append(time.monotonic_ns() - info["t"])
"""

LEARNER = """
def send(size, seconds):
    padding = os.urandom(size)
    for _ in range(int(seconds * 20)):
        session.put("bare", time.monotonic_ns().to_bytes(8, "little") + padding, express=True,
                    congestion_control=zenoh.CongestionControl.BLOCK)
        time.sleep(0.025)
        writer.publish({"approx_total_training_steps": 1, "t": time.monotonic_ns(), "padding": padding})
        time.sleep(0.025)
    session.put("bare", b"end", congestion_control=zenoh.CongestionControl.BLOCK)
    writer.publish({"approx_total_training_steps": 1, "end": True})
"""


def latency(root: Path, nodes: int, size: int, seconds: float) -> None:
    with Cluster(root / f"{nodes}-{size}", f"measure-{nodes}-{size}") as cluster:
        cluster.root.mkdir(mode=0o700)
        relays = Relays(cluster)
        try:
            here = cluster.node()
            relays.start(here)
            learner = here.learner_alone()
            learner.run(f"endpoint = {relays.endpoint!r}{BARE}{LEARNER}")
            envs = []
            for _ in range(nodes):
                there = cluster.node()
                relays.start(there)
                env = there.env()
                env.run(f"reader.read(); endpoint = {relays.endpoint!r}{BARE}{ENV}")
                env.start("follow()")
                envs.append(env)
            learner.call("send", size, seconds)
            bare, relayed = [], []
            for env in envs:
                env.finish()
                bare += env.value("bare")
                relayed += env.value("relayed")
            print(f"| {size:,} B, {nodes} | {quantiles(bare)} | {quantiles(relayed)} |", flush=True)
        finally:
            relays.close()


def deaths(root: Path, rounds: int = 12) -> None:
    """Seconds until an env on another node sees what has happened."""
    lost, back, fresh = [], [], []
    with Cluster(root / "deaths", "measure-deaths") as cluster:
        cluster.root.mkdir(mode=0o700)
        relays = Relays(cluster)
        try:
            router, here, there = (cluster.node() for _ in range(3))
            for node in (router, here, there):
                relays.start(node)
            learner, env = here.learner_alone(), there.env()
            until(lambda: env.value("reader.writer_alive"))
            for number in range(rounds):
                here.kill(learner.value("os.getpid()"))
                lost.append(until(lambda: not env.value("reader.writer_alive")))
                learner = here.learner_alone()
                back.append(until(lambda: env.value("reader.writer_alive")))
                there.cut()
                time.sleep(4 + random.random())  # Linux asks for a lost neighbour once a second
                learner.call("writer.publish", {"approx_total_training_steps": 100 + number})
                there.mend()
                fresh.append(
                    until(
                        lambda n=number: env.value("reader.read()['approx_total_training_steps']") == 100 + n
                    )
                )
        finally:
            relays.close()
    for what, seconds in (("killed", lost), ("back", back), ("link back after 4 to 5 s", fresh)):
        print(f"| {what} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |", flush=True)


def main() -> None:
    if why := why_no_namespaces():
        sys.exit(why)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("| the learner, or the node's link | seen after, median s | worst |\n|-|-|-|")
        deaths(Path(root))
        print("| snapshot, nodes | bare Zenoh, p50 / p99 ms | relay, p50 / p99 ms |\n|-|-|-|")
        for nodes in (1, 4):
            for size in (200, 400_000):
                latency(Path(root), nodes, size, seconds)


if __name__ == "__main__":
    main()
