"""The script for ssh, as a user copies it, between nodes with a real sshd."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import Cluster, Node, until
from processes import Process
from sshs import PATH, ssh_on, why_no_ssh

SCRIPT = Path(__file__).parents[2] / "examples" / "cluster" / "ssh.sh"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.skipif(why_no_ssh() is not None, reason=str(why_no_ssh())),
]

CHANNEL = "my-run"  # the script's


@pytest.fixture
def nodes(cluster: Cluster) -> Iterator[list[Node]]:
    cluster.channel = CHANNEL
    with ssh_on(cluster, 3) as nodes:
        yield nodes


@pytest.fixture
def script(nodes: list[Node]) -> Iterator[subprocess.Popen[bytes]]:
    """The script, on the first node."""
    variables = {"LEARNER": nodes[0].address, "TRAINCAST_DIR": str(nodes[0].directory), "PATH": PATH}
    settings = [f"{name}={value}" for name, value in variables.items()]
    command = [*nodes[0].prefix, "env", *settings, "sh", str(SCRIPT), "node1", "node2"]
    script = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    yield script
    for number in shells(nodes[0]):
        nodes[0].kill(number)
    script.wait()


def shells(node: Node) -> list[int]:
    """The script itself."""
    return processes(node, f"^sh {SCRIPT}")


def processes(node: Node, words: str) -> list[int]:
    """The processes of a node whose command lines contain words, by their numbers there."""
    found = subprocess.run([*node.prefix, "pgrep", "-f", words], capture_output=True, text=True)
    return list(map(int, found.stdout.split()))


def relays(node: Node) -> list[int]:
    return processes(node, r"^\S*python\S* \S*traincast relay")


def starts(nodes: list[Node]) -> tuple[Process, list[Process]]:
    """A learner, and the envs of the other nodes, which see what it publishes."""
    learner = nodes[0].learner_alone()
    envs = [node.env() for node in nodes[1:]]
    publish(learner, 2, envs)
    return learner, envs


def publish(learner: Process, steps: int, envs: list[Process]) -> None:
    learner.call("writer.publish", {"approx_total_training_steps": steps})
    for env in envs:
        until(lambda env=env: env.value("reader.read()")["approx_total_training_steps"] == steps)


@pytest.mark.parametrize("name", ["TERM", "INT", "KILL"])
def test_envs_see_the_learner_and_no_relay_survives_the_script(
    nodes: list[Node], script: subprocess.Popen[bytes], name: str
) -> None:
    learner, envs = starts(nodes)
    publish(learner, 3, envs)
    for node in nodes:
        assert len(relays(node)) == 1
        assert not processes(node, "[0-9a-f]{64}"), "the key is on a command line"
    for number in shells(nodes[0]):
        nodes[0].signal(number, name)
    script.wait()
    if name == "KILL":  # nobody is left who could end the one beside it
        for number in relays(nodes[0]):
            nodes[0].signal(number, "TERM")
    until(lambda: not any(map(relays, nodes)), "relays live on", 20)


def test_a_killed_relay_of_a_node_leaves_the_others_alone(
    nodes: list[Node], script: subprocess.Popen[bytes]
) -> None:
    learner, envs = starts(nodes)
    [number] = relays(nodes[1])
    nodes[1].kill(number)
    until(lambda: not processes(nodes[1], "traincast relay"), "what waits for the relay lives on", 20)
    publish(learner, 3, envs[1:])
    assert script.poll() is None
