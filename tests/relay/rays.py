"""Ray on the nodes of a cluster, each with a token that all of them share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nodes import Cluster, Node, until

TOKEN = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0" * 32,
    "RAY_USAGE_STATS_ENABLED": "0",
}


def ray_on(node: Node, head: Node | None, temp: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    where = (
        ["--head", "--port=6379", f"--temp-dir={temp}", "--include-dashboard=false"]
        if head is None
        else [f"--address={head.address}:6379"]
    )
    environment = {
        **TOKEN,
        "TRAINCAST_DIR": str(node.directory),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        **more,
    }
    return subprocess.Popen(
        [
            *node.prefix,
            *("env", *(f"{key}={value}" for key, value in environment.items())),
            # A node that comes before the head is there gives up.
            *("sh", "-c", 'until "$@"; do sleep 1; done', "sh"),
            *(str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1"),
            *(f"--node-ip-address={node.address}", "--object-store-memory=100000000", *where),
        ],
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def ray_nodes(
    cluster: Cluster, environment: Callable[[Node], Mapping[str, str]] = lambda _node: {}, count: int = 2
) -> Iterator[list[Node]]:
    """Ray on so many nodes; `environment`: further variables of what Ray starts on a node."""
    temp = Path("/tmp") / cluster.name  # a socket's path has 107 characters at most
    made = [cluster.node() for _ in range(count)]
    rays = []
    try:
        for number, node in enumerate(made):
            rays.append(ray_on(node, made[0] if number else None, temp, environment(node)))
            # Nodes that share a folder look for a free name in it, and two at a time take the same one.
            begun = temp / "session_latest" / "sockets" / (f"raylet.{number}" if number else "raylet")
            until(begun.exists, "Ray does not start")
        yield made
    finally:
        for node in made:
            node.crash()
            node._boot()
        for ray in rays:
            ray.wait()
        subprocess.run(["rm", "-rf", str(temp)], check=True)
