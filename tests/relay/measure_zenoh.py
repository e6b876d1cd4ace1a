"""What a relay adds to Zenoh, and how fast news of deaths travels: prints the tables for docs/nodes.md.

    python tests/relay/measure_zenoh.py [--seconds SECONDS] [--nodes 1,4,16] [--json FILE]

As in measure.py: nodes are network namespaces of this machine, the bare engine and the relay take turns at
20 Hz each. Bare: `put` of Zenoh in one process until a subscriber on another node has it, by the same router.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from latencies import HEADING, Quantiles, Row, save  # noqa: E402 - the paths come first
from measure import SIZES, add_options, limit  # noqa: E402 - as said above
from nodes import Cluster, until, why_no_namespaces  # noqa: E402
from processes import Process  # noqa: E402
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
    end()
def end():
    session.put("bare", b"end", congestion_control=zenoh.CongestionControl.BLOCK)
    writer.publish({"approx_total_training_steps": 1, "end": True})
def send_at(size, hertz, seconds):
    padding, until = os.urandom(size), time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        writer.publish({"approx_total_training_steps": 1, "t": time.monotonic_ns(), "padding": padding})
        count += 1
        time.sleep(1 / hertz)
    time.sleep(1)
    end()
    return count
"""


@contextmanager
def followed(root: Path, nodes: int) -> Iterator[tuple[Cluster, Process, list[Process]]]:
    """A learner on the router's node, and an env that follows on each of the others."""
    with Cluster(root, f"measure-{root.name}") as cluster:
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
                until(lambda there=there: there.status().get("direct") is True)
                envs.append(env)
            yield cluster, learner, envs
        finally:
            relays.close()


def latency(root: Path, nodes: int, size: int, seconds: float) -> Row:
    with followed(root / f"{nodes}-{size}", nodes) as (_, learner, envs):
        learner.call("send", size, seconds)
        bare, relayed = [], []
        for env in envs:
            env.finish()
            for all_of_them, name in ((bare, "bare"), (relayed, "relayed")):
                these = env.value(name)
                assert len(these) > seconds * 10, f"an env has only received {len(these)}"
                all_of_them += these
    row = Row(size, nodes, Quantiles.of(bare), Quantiles.of(relayed))
    print(row, flush=True)
    return row


def overload(root: Path, seconds: float, megabits: int = 100, size: int = 400_000) -> None:
    """As in measure.py: now and then, and 64 times as fast as the link can be."""
    print(f"| 400 KB over {megabits} Mbit/s | published | arrived | p50 ms | p99 ms |\n|-|-|-|-|-|")
    fastest = megabits * 1e6 / 8 / size
    for name, hertz in (("now and then", fastest / 8), ("64 times as fast", 64 * fastest)):
        with followed(root / f"at-{hertz:.0f}", 1) as (cluster, learner, (env,)):
            limit(cluster.nodes[1], megabits)
            published = learner.call("send_at", size, hertz, seconds)
            env.finish()
            arrived = env.value("relayed")
            p50, p99 = Quantiles.of(arrived)
            print(f"| {name} | {published} | {len(arrived)} | {p50:.1f} | {p99:.1f} |", flush=True)


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
    parser = argparse.ArgumentParser()
    add_options(parser)
    arguments = parser.parse_args()
    seconds = arguments.seconds
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print("| the learner, or the node's link | seen after, median s | worst |\n|-|-|-|")
        deaths(Path(root))
        overload(Path(root), seconds)
        print(HEADING.format("Zenoh"))
        sizes = [(nodes, size) for nodes in arguments.nodes for size in SIZES]
        rows = [latency(Path(root), nodes, size, seconds) for nodes, size in sizes]
        save(arguments.json, "Zenoh", rows)


if __name__ == "__main__":
    main()
