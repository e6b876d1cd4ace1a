"""Nodes that come and go for half an hour: what stays must not grow. `make soak-relay`.

    python tests/relay/relay_soak.py [--seconds SECONDS] [--via tcpstore|zenoh]

A learner with a scoreboard publishes 50 times a second; one node stays, and is cut off now and then; one
after the other comes, gets the newest snapshot, counts episodes, and is gone without a word. After each of
them memory, threads and descriptors of what stays are looked at.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil

for folder in (".", "../core", "../soak"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from judging import Verdict, judge  # noqa: E402 - the paths come first
from nodes import Cluster, Node, until, why_no_namespaces  # noqa: E402 - as said above
from processes import Process  # noqa: E402 - as said above
from test_zenoh import Relays  # noqa: E402 - as said above

LIMITS = {"own memory, KiB": 8192, "threads": 2, "descriptors": 3}
"""How much of each may be gained. A relay under torchrun has 300 MB of its own."""

WARM_UP = 0.25
COUNTED = "int(board.totals()['episodes'][1])"

LEARNER = """
import threading
board = traincast.scores.Scoreboard(writer.name, 2)
stop = threading.Event()
def publish():
    steps = 1
    while not stop.is_set():
        steps += 1
        writer.publish({"approx_total_training_steps": steps, "padding": bytes(2000)})
        board.collect()
        time.sleep(0.02)
thread = threading.Thread(target=publish)
thread.start()
"""


class Found(NamedTuple):
    """What a run has found."""

    guests: int
    cuts: int
    episodes: int
    verdicts: list[Verdict]


def measured(pid: int) -> dict[str, int]:
    process = psutil.Process(pid)
    own = sum(mapping.anonymous for mapping in process.memory_maps(grouped=False)) // 1024
    return {"own memory, KiB": own, "threads": process.num_threads(), "descriptors": process.num_fds()}


def outer(node: Node, pid: int) -> int:
    """The process id here of a process of a node."""
    space = os.readlink(f"/proc/{node._first_pid}/ns/pid")
    for process in psutil.process_iter():
        try:
            if os.readlink(f"/proc/{process.pid}/ns/pid") == space:
                numbers = (
                    Path(f"/proc/{process.pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()
                )
                if int(numbers[-1]) == pid:
                    return process.pid
        except OSError:
            continue
    raise ProcessLookupError(pid)


class Joined:
    """Relays that a line in the training starts. They meet in a TCPStore."""

    def learner(self, node: Node) -> Process:
        return node.learner()

    def env(self, node: Node) -> Process:
        return node.joined()

    def gone(self) -> None:
        """The node of the last env has crashed."""

    def close(self) -> None:
        pass


class Zenoh(Joined):
    """Relays that are started by hand. The first one is the router."""

    def __init__(self, cluster: Cluster) -> None:
        self._relays = Relays(cluster)

    def learner(self, node: Node) -> Process:
        self._relays.start(node)
        return node.learner_alone()

    def env(self, node: Node) -> Process:
        self._relays.start(node)
        return node.python()

    def gone(self) -> None:
        self._relays.running.pop().process.communicate()

    def close(self) -> None:
        self._relays.close()


def visit(node: Node, relays: Joined, learner: Process, before: int) -> int:
    """A node comes, sees what is newest, counts, and is gone; how many episodes it has counted."""
    guest = relays.env(node)
    newest = learner.value("writer.version")
    guest.run(f"reader = traincast.TrainingInfoReader({node.cluster.channel!r}, attach_timeout=100)")
    until(
        lambda: guest.value("reader.read() and reader.version") >= newest, "a guest does not get the newest"
    )
    guest.run(f"scores = traincast.scores.ScoreWriter({node.cluster.channel!r})")
    until(lambda: guest.value("scores.record(1)"), "a guest gets no scoreboard")
    guest.run("for _ in range(99): assert scores.record(1)")
    # What has not left a node when its memory goes is gone with it.
    until(lambda: learner.value(COUNTED) == before + 100, "what a guest has counted does not arrive")
    node.crash()
    relays.gone()
    node.reboot_after_crash()
    return 100


def run(root: Path, seconds: float, via: str) -> Found:
    """All of it."""
    series: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    times: list[float] = []
    guests = cuts = episodes = 0
    with Cluster(root, f"soak-{via}") as cluster, closing(make(cluster, via)) as relays:
        here, stays, comes = cluster.node(), cluster.node(), cluster.node()
        learner = relays.learner(here)
        learner.run(LEARNER)
        relays.env(stays)
        env = stays.env()
        pids = {
            "learner": outer(here, learner.value("os.getpid()")),
            "its relay": outer(here, here.status()["pid"]),
            "another relay": outer(stays, stays.status()["pid"]),
            "an env": outer(stays, env.value("os.getpid()")),
        }
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            episodes += visit(comes, relays, learner, episodes)
            guests += 1
            if guests % 5 == 0:
                stays.cut()
                time.sleep(2)
                stays.mend()
                cuts += 1
            newest = learner.value("writer.version")
            until(lambda newest=newest: env.value("reader.read() and reader.version") >= newest)
            times.append(time.monotonic() - start)
            for who, pid in pids.items():
                for what, value in measured(pid).items():
                    series[who][what].append(value)
        assert learner.value(COUNTED) == episodes
        learner.run("stop.set(); thread.join()")
    cold = sum(at < WARM_UP * seconds for at in times)
    verdicts = [
        judge(f"{who}: {what}", times[cold:], values[cold:], LIMITS[what])
        for who, measures in series.items()
        for what, values in measures.items()
    ]
    return Found(guests, cuts, episodes, verdicts)


def make(cluster: Cluster, via: str) -> Joined:
    """The relays of a cluster, over this engine."""
    return Zenoh(cluster) if via == "zenoh" else Joined()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--via", choices=["tcpstore", "zenoh"], default="tcpstore")
    arguments = parser.parse_args()
    seconds = arguments.seconds
    if why := why_no_namespaces():
        sys.exit(why)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        found = run(Path(root), seconds, arguments.via)
    print(
        f"{arguments.via}: {found.guests} nodes came and went in {seconds:.0f} s, one was cut off "
        f"{found.cuts} times; {found.episodes} episodes, each counted once"
    )
    print("| | at the start | at the end | growth | limit | |\n|-|-|-|-|-|-|")
    for verdict in found.verdicts:
        flat = "" if verdict.flat else "NOT FLAT"
        figures = (verdict.start, verdict.end, verdict.growth, verdict.limit)
        print(f"| {verdict.series} | {' | '.join(f'{figure:,.0f}' for figure in figures)} | {flat} |")
    return int(not all(verdict.flat for verdict in found.verdicts))


if __name__ == "__main__":
    sys.exit(main())
