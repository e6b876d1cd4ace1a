"""Ray on two nodes: an ordinary channel on both, whatever is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nodes import Cluster, Node, until
from processes import Process
from rays import TOKEN, ray_nodes

pytestmark = pytest.mark.cluster


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[list[Node]]:
    with ray_nodes(cluster) as made:
        yield made


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

    # What is counted there comes back.
    driver.run(f"board = traincast.scores.Scoreboard({channel_name!r}, 1)")
    driver.run("total = lambda: int((board.collect(), board.totals()['episodes'][0])[1])")
    env.run(f"scores = traincast.scores.ScoreWriter({channel_name!r})")
    until(lambda: env.value("scores.record(0)"), "no scoreboard there")
    env.run("for _ in range(999): assert scores.record(0)")
    until(lambda: driver.value("total()") == 1000, "what was counted there does not arrive")

    # A relay is killed: Ray starts it again.
    relay = there.status()["pid"]
    there.kill(relay)
    driver.call("writer.publish", {"approx_total_training_steps": 100})
    until(lambda: env.value("reader.read()['approx_total_training_steps']") == 100)
    until(lambda: there.status().get("pid") not in (None, relay))
    until(lambda: env.value("reader.writer_alive"))
    env.run("for _ in range(1000): assert scores.record(0)")
    until(lambda: driver.value("total()") == 2000, "what is counted after that does not arrive")
    driver.run("import time; time.sleep(3)")
    assert driver.value("total()") == 2000

    # The driver is killed. Ray takes half a minute to notice.
    here.kill(driver.value("os.getpid()"))
    until(lambda: not env.value("reader.writer_alive"))
    assert env.value("reader.read()['approx_total_training_steps']") == 100
