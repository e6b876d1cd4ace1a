"""Two hundred relays, each on a node of its own, flat and as trees: how long a snapshot takes to all of them.

    python tests/relay/scale.py docs/relays.json [RELAYS]

Nodes are network namespaces of this machine, whose links let so many bits a second out. So large snapshots
are held up by links, as on a cluster, and small ones by this machine's cores, which all nodes share. Relays
meet at a hub of ours (`traincast.relay.hub_server`): 200 processes with torch in them would not fit.
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

from nodes import Cluster, Node, until, why_no_namespaces  # noqa: E402 - the paths come first
from processes import Process  # noqa: E402

import traincast  # noqa: E402

PORT = 7000
MBIT = 100
SIZES = {200: 15, 400_000: 5}
FLAT = 0
FAN_OUTS = (FLAT, 4, 8, 16, 32)

SINK = f"""
import os, sys
from traincast.relay.node import Relay
from traincast.relay.sockets import SocketEngines
channel, host, address = sys.argv[1:]
print("begins", flush=True)
Relay(channel, 0, None, SocketEngines(host, {PORT}), key=os.environb[b"TRAINCAST_KEY"], address=address).run(
    lambda: True)
"""

SOURCE = f"""
import threading
from traincast.relay.node import Relay
from traincast.relay.hub_server import HubServer
from traincast.relay.sockets import SocketEngines
hub = HubServer(host, {PORT})
def begin(fan_out):
    global relay, goes_on
    goes_on = True
    relay = Relay(channel, 0, None, SocketEngines(host, {PORT}), key=os.environb[b"TRAINCAST_KEY"],
                  address=host, fan_out=fan_out)
    threading.Thread(target=relay.run, args=(lambda: goes_on,), daemon=True).start()
def end():
    global goes_on
    goes_on = False
    until_ended()
def until_ended():
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


def measure(root: Path, relays: int) -> list[dict[str, Any]]:
    with Cluster(root, "scale") as cluster:
        cluster.environment = {"TRAINCAST_KEY": secrets.token_hex(16)}
        here = cluster.node()
        source = here.python()
        source.run(f"channel, host = 'scale', {here.address!r}\n{SOURCE}")
        source.run("writer = traincast.TrainingInfoWriter(channel)")
        source.call("send", 1)
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
            return [row for fan_out in FAN_OUTS for row in rows(source, readers, relays, fan_out)]
        finally:
            for process in processes:
                process.kill()


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


def rows(source: Process, readers: list[Any], relays: int, fan_out: int) -> list[dict[str, Any]]:
    if fan_out != FLAT:
        source.run("end()")
        source.run(f"begin({fan_out})")
    wanted = levels_of(relays, fan_out)
    until(lambda: source.value("levels()") == wanted or time.sleep(1), f"no tree of {fan_out}", patience=240)
    found = []
    for size, rounds in SIZES.items():
        seconds = []
        for _ in range(rounds):
            time.sleep(0.3)
            began, version = source.call("send", size)
            waiting = list(readers)
            while waiting:
                waiting = [reader for reader in waiting if not has(reader, version)]
                time.sleep(0.001)
            seconds.append(time.monotonic() - began)
        row = {
            "relays": relays,
            "fan_out": fan_out or relays,
            "levels": wanted[-1],
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
        found = measure(Path(root), relays)
    document = {"cores": os.cpu_count(), "load": load, "mbit": MBIT, "rows": found}
    Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
