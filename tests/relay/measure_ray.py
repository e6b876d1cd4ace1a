"""What a relay adds to Ray: prints the table for docs/nodes.md.

    python tests/relay/measure_ray.py [--seconds SECONDS] [--nodes 1,4]

As in measure.py, in turns at 13 Hz each. Bare: `put` of the engine in the driver, which calls an actor on
the driver's node, until a long poll of that actor returns in a process on another node.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

for folder in (".", "../core"):
    sys.path.insert(0, str((Path(__file__).parent / folder).resolve()))

from latencies import HEADING, Row, save  # noqa: E402 - the paths come first
from measure import ENV, LEARNER, add_options, cluster_at, compare  # noqa: E402 - as said above
from nodes import Node, until, why_no_namespaces  # noqa: E402
from processes import Process  # noqa: E402
from rays import TOKEN, ray_nodes  # noqa: E402

CONNECT = """
import warnings; warnings.simplefilter("ignore")
import ray
from traincast.relay import ray as relays
ray.init({address!r}, namespace="measure", log_to_driver=False)
"""

DRIVER = """
hub = ray.remote(relays.HubActor).options(name="bare", num_cpus=0, max_concurrency=10_000).remote()
engine = relays.HubEngines("bare").connect()
writer = traincast.TrainingInfoWriter({channel!r})
writer.publish({{"approx_total_training_steps": 1}})
started = relays.start({channel!r})
"""


def connected(process: Process, address: str) -> bool:
    try:
        process.run(CONNECT.format(address=address))
    except Exception:
        return False
    return True


def python_with_ray(node: Node, head: Node) -> Process:
    process = node.python(TOKEN)
    until(lambda: connected(process, f"{head.address}:6379"), "Ray does not answer")
    return process


def latency(root: Path, count: int, seconds: float) -> Iterator[Row]:
    """A row for each size. The cluster has no more nodes than needed: each keeps the cores busy."""
    with (
        cluster_at(root, f"ray-{count}") as cluster,
        ray_nodes(cluster, lambda _: cluster.environment, 1 + count) as (head, *others),
    ):
        driver = python_with_ray(head, head)
        alive = "sum(n['Alive'] for n in ray.nodes())"
        until(lambda: driver.value(alive) == 1 + count, "Ray's nodes do not come")
        driver.run(DRIVER.format(channel=cluster.channel))
        assert driver.value("started.wait()"), driver.value("started.status()")
        driver.run(LEARNER)
        envs = [python_with_ray(node, head) for node in others]
        for env in envs:
            env.run(f"reader = traincast.TrainingInfoReader({cluster.channel!r})")
            env.run(f"engine = relays.HubEngines('bare').connect(){ENV}")
        yield from compare(driver, envs, seconds)


def main() -> None:
    if why := why_no_namespaces():
        sys.exit(why)
    parser = argparse.ArgumentParser()
    add_options(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="traincast-test-", dir="/dev/shm") as root:
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(HEADING.format("Ray"))
        rows = (row for count in arguments.nodes for row in latency(Path(root), count, arguments.seconds))
        save(arguments.json, "Ray", rows)


if __name__ == "__main__":
    main()
