"""Two hundred relays, each on a node of its own, flat and as trees: how long a snapshot takes to all of them.

And what the learner pays for them: a publish in a tight loop, beside a learner that has no relay.

    python tests/relay/scale.py docs/relays.json [RELAYS]

Nodes are network namespaces of this machine, whose links let so many bits a second out. So large snapshots
are held up by links, as on a cluster, and small ones by this machine's cores, which all nodes share. Relays
meet in a process of ours (`meeting`): 200 processes with torch in them would not fit.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from measure import COST, Cost  # noqa: E402 - the paths come first
from nodes import Cluster, Node, until, why_no_namespaces  # noqa: E402 - as said above
from processes import Process  # noqa: E402 - as said above

import traincast  # noqa: E402 - as said above

PORTS = 7000, 7001
MBIT = 100
SIZES = {200: 15, 400_000: 5}
FLAT = 0
FAN_OUTS = (FLAT, 4, 8, 16, 32)

Rows = list[dict[str, Any]]

SINK = f"""
import os, sys
from traincast.relay.node import Relay
from meeting import MeetingEngines
channel, host, address = sys.argv[1:]
print("begins", flush=True)
engines = MeetingEngines(host, *{PORTS})
Relay(channel, 0, None, engines, key=os.environb[b"TRAINCAST_KEY"], address=address).run(lambda: True)
"""

SOURCE = f"""
import threading
from traincast.relay.node import Relay
from meeting import MeetingEngines
def begin(fan_out):
    global relay, goes_on, running
    goes_on = True
    relay = Relay(channel, 0, None, MeetingEngines(host, *{PORTS}), key=os.environb[b"TRAINCAST_KEY"],
                  address=host, fan_out=fan_out)
    running = threading.Thread(target=relay.run, args=(lambda: goes_on,), daemon=True)
    running.start()
def end():
    global goes_on
    goes_on = False
    running.join()
    while relay.source._speech is not None or any(thread.is_alive() for thread in relay._threads):
        time.sleep(0.05)
def levels():
    reports = {{report["node"]: (report["parent"] or ["", ""])[1] for report in relay.reports.all()}}
    depths = []
    for node in reports:
        depth, at = 1, reports[node]
        while at in reports and depth < 99:
            depth, at = depth + 1, reports[at]
        depths.append(depth)
    return sorted(depths)
"""

LEARNER = f"""{COST}
import os
def send(size):
    padding = os.urandom(size)
    began = time.monotonic()
    return began, writer.publish({{"approx_total_training_steps": 1, "padding": padding}})
"""


def levels_of(relays: int, fan_out: int) -> list[int]:
    """How deep each relay of a tree is."""
    if fan_out == FLAT:
        return [1] * relays
    depths: list[int] = []
    for i in range(relays):
        depths.append(1 if i < fan_out else depths[i // fan_out - 1] + 1)
    return sorted(depths)


def limit(node: Node) -> None:
    subprocess.run(
        [
            *("tc", "-n", node.name, "qdisc", "add", "dev", "eth0", "root", "tbf"),
            *("rate", f"{MBIT}mbit", "burst", "64kb", "latency", "100ms"),
        ],
        check=True,
    )


def measure(root: Path, relays: int) -> tuple[Rows, Cost]:
    """How long snapshots take in each tree, and what a publish costs in the last one."""
    found: Rows = []
    with Cluster(root, "scale") as cluster:
        path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
        cluster.environment = {"TRAINCAST_KEY": secrets.token_hex(16), "PYTHONPATH": path}
        here = cluster.node()
        learner, alone, source, engine = (here.python() for _ in range(4))
        engine.run(f"from meeting import Meeting; meeting = Meeting({here.address!r}, *{PORTS})")
        for process, channel in ((learner, "scale"), (alone, "alone")):
            process.run(f"writer = traincast.TrainingInfoWriter({channel!r})\n{LEARNER}")
            process.call("send", 1)
        source.run(f"channel, host = 'scale', {here.address!r}\n{SOURCE}")
        source.run(f"begin({relays + 1})")  # flat
        processes = []
        for number in range(relays):
            node = cluster.node()
            processes.append(sink(node, here.address))
            print(f"\r{number + 1} relays", end="", file=sys.stderr, flush=True)
        for node in cluster.nodes:
            limit(node)
        readers = [
            traincast.TrainingInfoReader("scale", directory=node.directory, attach_timeout=60)
            for node in cluster.nodes[1:]
        ]
        try:
            for fan_out in FAN_OUTS:
                levels = plant(source, relays, fan_out)
                tree = {"relays": relays, "fan_out": fan_out or relays, "levels": levels}
                found += [tree | row for row in times(learner, readers)]
            for process in (learner, alone):
                process.call("writer.publish", {"approx_total_training_steps": 1})
            cost = Cost.of(alone, learner)
            print(f"{Cost.HEADING}\n| {relays} | {cost}", flush=True)
        finally:
            for process in processes:
                process.kill()
    return found, cost


def sink(node: Node, host: str) -> subprocess.Popen[str]:
    variables = {**node.cluster.environment, "TRAINCAST_DIR": str(node.directory)}
    process = subprocess.Popen(
        [
            *node.prefix,
            *("env", *(f"{key}={value}" for key, value in variables.items())),
            *(sys.executable, "-c", SINK, "scale", host, node.address),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def plant(source: Process, relays: int, fan_out: int) -> int:
    """Have the relays make this tree, and return how many levels it has."""
    if fan_out != FLAT:
        source.run("end()")
        source.run(f"begin({fan_out})")
    wanted = levels_of(relays, fan_out)
    until(lambda: source.value("levels()") == wanted or time.sleep(1), f"no tree of {fan_out}", patience=240)
    return wanted[-1]


def times(learner: Process, readers: list[Any]) -> Rows:
    """Seconds until the last reader has a snapshot, for each size."""
    found = []
    for size, rounds in SIZES.items():
        seconds = []
        for _ in range(rounds):
            time.sleep(0.3)
            began, version = learner.call("send", size)
            waiting = list(readers)
            while waiting:
                waiting = [reader for reader in waiting if not has(reader, version)]
                time.sleep(0.001)
            seconds.append(time.monotonic() - began)
        row = {
            "size": size,
            "seconds": statistics.median(seconds),
            "all": [round(value, 4) for value in seconds],
        }
        print(row, flush=True)
        found.append(row)
    return found


def has(reader: Any, version: int) -> bool:
    if reader.changed():
        reader.read()
    return bool(reader.version >= version)


def main() -> None:
    if why := why_no_namespaces():
        sys.exit(why)
    relays = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        load = os.getloadavg()[0]
        found, cost = measure(Path(root), relays)
    document = {"cores": os.cpu_count(), "load": load, "mbit": MBIT, "rows": found, "cost": cost._asdict()}
    Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
