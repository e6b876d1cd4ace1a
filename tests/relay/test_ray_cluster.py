"""Ray on two nodes: an ordinary channel on both, whatever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import Cluster, Node, until
from processes import Process

pytestmark = pytest.mark.cluster

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 32, "RAY_USAGE_STATS_ENABLED": "0"}


def ray_on(node: Node, head: Node | None, temp: Path) -> subprocess.Popen[bytes]:
    where = (
        ["--head", "--port=6379", f"--temp-dir={temp}", "--include-dashboard=false"]
        if head is None
        else [f"--address={head.address}:6379"]
    )
    environment = {
        **TOKEN,
        "TRAINCAST_DIR": str(node.directory),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
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


@pytest.fixture
def nodes(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    temp = Path("/tmp") / cluster.name  # a socket's path has 107 characters at most
    made = [cluster.node(), cluster.node()]
    rays = [ray_on(made[0], None, temp)]
    rays.append(ray_on(made[1], made[0], temp))
    yield made
    for node in made:
        node.crash()
        node._boot()
    for ray in rays:
        ray.wait()
    subprocess.run(["rm", "-rf", str(temp)], check=True)


def driver_on(node: Node, channel: str) -> Process:
    driver = node.python(TOKEN)
    address = f"{node.cluster.nodes[0].address}:6379"
    until(lambda: connects(driver, address))
    until(lambda: driver.value("sum(n['Alive'] for n in ray.nodes())") == 2)
    driver.run(f"writer = traincast.TrainingInfoWriter({channel!r})")
    driver.call("writer.publish", {"approx_total_training_steps": 1})
    driver.run(f"from traincast.relay import ray as relays; relays = relays.start({channel!r})")
    return driver


def connects(driver: Process, address: str) -> bool:
    try:
        driver.run(
            "import warnings; warnings.simplefilter('ignore'); import ray; "
            f"ray.init({address!r}, log_to_driver=False)"
        )
    except Exception:
        return False
    return True


@pytest.mark.timeout(600)
def test_envs_on_another_node_follow_and_know_if_the_learner_lives(
    nodes: list[Node], channel_name: str
) -> None:
    here, there = nodes
    driver = driver_on(here, channel_name)
    until(lambda: len(driver.value("relays.status()")) == 2, "Ray starts no actor")
    until(lambda: there.status().get("connected"), f"the relay there: {there.status()}")
    env = there.env()
    for steps in range(2, 30):
        driver.call("writer.publish", {"approx_total_training_steps": steps})
        until(lambda steps=steps: env.value("reader.read()['approx_total_training_steps']") == steps)
    assert env.value("reader.writer_alive")
    assert there.status()["via"].startswith("ray ")

    # A relay is killed: Ray starts it anew.
    relay = there.status()["pid"]
    there.kill(relay)
    driver.call("writer.publish", {"approx_total_training_steps": 100})
    until(lambda: env.value("reader.read()['approx_total_training_steps']") == 100)
    until(lambda: there.status().get("pid") not in (None, relay))
    until(lambda: env.value("reader.writer_alive"))

    # The driver is killed. Ray takes half a minute to notice.
    here.kill(driver.value("os.getpid()"))
    until(lambda: not env.value("reader.writer_alive"))
    assert env.value("reader.read()['approx_total_training_steps']") == 100
