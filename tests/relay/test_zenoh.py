"""`traincast relay --via zenoh` on nodes that are cut off and killed: what the envs there see."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from nodes import Cluster, Node, until
from processes import Process
from test_nodes import alive, arrives, numbers, published, steps, the_higher_term_wins_after_a_cut

import traincast


class Running:
    """A relay that says what it does."""

    def __init__(self, node: Node, *arguments: str, environment: dict[str, str] | None = None) -> None:
        variables = {
            **node.cluster.environment,
            "TRAINCAST_DIR": str(node.directory),
            **(environment or {}),
        }
        self.node, self.said, self.pid = node, "", 0
        self.process = subprocess.Popen(
            [
                *node.prefix,
                *("env", *(f"{key}={value}" for key, value in variables.items())),
                *(sys.executable, "-m", "traincast.cli", "relay", "--via", "zenoh", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if found := re.match(r"relay, process (\d+), via ", line):
                self.pid = int(found[1])
                return

    def signal(self, name: str) -> None:
        self.node.signal(self.pid, name)

    def ends(self) -> tuple[int, str]:
        """Its status, and what it has said on stderr."""
        out, err = self.process.communicate()
        self.said += out
        return self.process.returncode, err


class Relays:
    """The relays of a cluster. The first one is the router."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.running: list[Running] = []
        self.endpoint = ""

    def start(self, node: Node, *arguments: str, environment: dict[str, str] | None = None) -> Running:
        here = f"tcp/{node.address}:7447"
        self.endpoint = self.endpoint or here
        listens = ["--listen"] if self.endpoint == here else []
        relay = Running(node, *listens, self.endpoint, *arguments, environment=environment)
        self.running.append(relay)
        return relay

    def close(self) -> None:
        for node in self.cluster.nodes:
            node.crash()
        for relay in self.running:
            relay.process.communicate()
        for node in self.cluster.nodes:
            node._boot()


@pytest.fixture
def relays(cluster: Cluster) -> Iterator[Relays]:
    relays = Relays(cluster)
    yield relays
    relays.close()


def two_nodes(cluster: Cluster, relays: Relays) -> tuple[Node, Node, Process, Process]:
    """The learner's node, another one, and an env there. The router is on a third one."""
    router, here, there = cluster.node(), cluster.node(), cluster.node()
    for node in (router, here, there):
        relays.start(node)
    learner = here.learner_alone()
    env = there.env()
    alive(env)
    return here, there, learner, env


def test_messages_go_from_relay_to_relay_and_through_the_router_if_there_is_no_other_way(
    cluster: Cluster, relays: Relays
) -> None:
    here, there = cluster.node(), cluster.node()
    for node in (here, there):
        relays.start(node)
    learner, env = here.learner_alone(), there.env()
    until(lambda: there.status().get("direct") is True)
    for wanted in range(2, 30):
        published(learner, wanted)
        arrives(env, wanted)
    here.shut_free_ports()  # cuts the line between the two, and not the one to the router, which is here
    until(lambda: there.status().get("direct") is False)
    for wanted in range(30, 60):
        published(learner, wanted)
        arrives(env, wanted)
    alive(env)


def test_channels_appear_on_all_nodes_under_their_numbers_and_end_with_their_learner(
    cluster: Cluster, relays: Relays
) -> None:
    here, there, learner, env = two_nodes(cluster, relays)
    learner.run("other = traincast.TrainingInfoWriter('another-one', 3)")
    learner.call("other.publish", {"approx_total_training_steps": 5})
    for wanted in range(2, 30):
        version = published(learner, wanted)
        arrives(env, wanted)
        assert numbers(env) == (version, 1)
    env.run("other = traincast.TrainingInfoReader('another-one', 3, attach_timeout=100)")
    assert env.value("other.read()['approx_total_training_steps']") == 5
    for size in (100_000, 6_000_000):
        learner.call("writer.publish", {"approx_total_training_steps": size, "blob": b"x" * size})
        arrives(env, size)
    late = cluster.node()
    relays.start(late, cluster.channel)
    assert steps(late.env()) == size
    assert not (late.directory / "another-one@3").exists(), "it was not named"
    assert here.status()["role"] == "source"
    assert there.status()["role"] == "sink"
    assert there.status()["via"] == f"zenoh {relays.endpoint}"
    until(lambda: here.reports().keys() >= {there.status()["node"], late.status()["node"]})
    until(
        lambda: (
            here.reports()[late.status()["node"]]["parent"] == [socket.gethostname(), here.status()["node"]]
        )
    )
    learner.run("writer.close()")
    until(lambda: env.value("reader.closed and not reader.writer_alive"))
    until(lambda: not (there.directory / f"{cluster.channel}@0").exists())
    assert steps(env) == size


def test_a_learner_that_is_killed_and_starts_again_here_or_there_goes_on(
    cluster: Cluster, relays: Relays
) -> None:
    here, there, learner, env = two_nodes(cluster, relays)
    version = published(learner, 2)
    arrives(env, 2)
    here.kill(learner.value("os.getpid()"))
    alive(env, False)
    assert steps(env) == 2
    again = here.learner_alone()
    alive(env)
    until(lambda: numbers(env) == (again.value("writer.version"), 2))
    assert again.value("writer.version") > version
    here.kill(again.value("os.getpid()"))
    alive(env, False)
    moved = there.learner_alone()
    back = here.env()
    alive(back)
    wanted = moved.value("(writer.version, writer.epoch)")
    until(lambda: numbers(back) == wanted)
    assert wanted[1] == 3


def test_service_comes_back_after_relays_and_router_were_killed(cluster: Cluster, relays: Relays) -> None:
    _, _, learner, env = two_nodes(cluster, relays)
    for number, relay in enumerate(reversed(list(relays.running)), start=10):  # the router is the last one
        relay.signal("KILL")
        published(learner, number)
        assert steps(env) > 0
        relays.start(relay.node)
        arrives(env, number)
        alive(env)


@pytest.mark.parametrize(
    "seconds", [1, pytest.param(5, marks=pytest.mark.cluster), pytest.param(60, marks=pytest.mark.cluster)]
)
def test_a_node_that_was_cut_off_is_fresh_again(cluster: Cluster, relays: Relays, seconds: int) -> None:
    _, there, learner, env = two_nodes(cluster, relays)
    published(learner, 2)
    arrives(env, 2)
    there.cut()
    published(learner, 3)
    if seconds > 2:
        alive(env, False)
    learner.run(f"time.sleep({seconds})")
    published(learner, 4)
    assert steps(env) == 2
    there.mend()
    arrives(env, 4)
    alive(env)


def test_a_second_learner_is_told_where_the_first_one_is(cluster: Cluster, relays: Relays) -> None:
    _, there, learner, env = two_nodes(cluster, relays)
    first = learner.value("os.getpid()")
    second = there.python()
    with pytest.raises(traincast.ChannelBusyError, match=f"process {first} on "):
        second.run(f"traincast.TrainingInfoWriter({cluster.channel!r})")
    # On a node whose relay comes later it has the channel for a moment, and then loses it.
    late = cluster.node()
    other = late.learner_alone()
    relays.start(late)
    with pytest.raises(traincast.ChannelLostError, match=f"process {first} on "):
        other.run("while True: writer.update(approx_total_training_steps=9); time.sleep(0.01)")
    published(learner, 5)
    other.run(f"reader = traincast.TrainingInfoReader({cluster.channel!r})")
    for process in (other, env):
        arrives(process, 5)


def test_of_two_that_begin_at_the_same_moment_one_goes_on(cluster: Cluster, relays: Relays) -> None:
    """Nothing compares and sets here."""
    router, here, there = cluster.node(), cluster.node(), cluster.node()
    learners = [here.learner_alone(), there.learner_alone()]
    for node in (router, here, there):
        relays.start(node)
    for learner in learners:
        learner.run(
            "lost = ''\n"
            "def go_on(until):\n"
            "    while not lost and time.monotonic() < until: publish(); time.sleep(0.01)\n"
            "def publish():\n"
            "    global lost\n"
            "    try: writer.update(approx_total_training_steps=writer.version)\n"
            "    except traincast.ChannelLostError as error: lost = str(error)\n"
        )

    def losers() -> int:
        for learner in learners:
            learner.run("go_on(time.monotonic() + 0.1)")
        return sum(bool(learner.value("lost")) for learner in learners)

    until(lambda: losers() == 1)
    for learner in learners:
        learner.run("go_on(time.monotonic() + 2.5)")
    assert losers() == 1
    (winner,) = (learner for learner in learners if not learner.value("lost"))
    (loser,) = (learner for learner in learners if learner.value("lost"))
    assert f"process {winner.value('os.getpid()')} on " in loser.value("lost")
    loser.run(f"reader = traincast.TrainingInfoReader({cluster.channel!r})")
    winner.call("writer.publish", {"approx_total_training_steps": 10**6})
    arrives(loser, 10**6)


@pytest.mark.cluster
def test_of_two_sources_after_a_cut_the_higher_term_wins_everywhere(cluster: Cluster, relays: Relays) -> None:
    _, there, learner, env = two_nodes(cluster, relays)
    watched = cluster.node()
    relays.start(watched)
    the_higher_term_wins_after_a_cut(cluster, there, learner, env, watched.env())


@pytest.mark.parametrize("name", ["TERM", pytest.param("INT", marks=pytest.mark.cluster)])
def test_a_node_has_one_relay_which_ends_when_it_is_told_to_and_leaves_nothing(
    cluster: Cluster, relays: Relays, name: str
) -> None:
    here = cluster.node()
    first = relays.start(here, cluster.channel)
    until(lambda: here.status().get("pid") == first.pid)
    status, told = Running(here, relays.endpoint, cluster.channel).ends()
    assert status == 1
    assert f"process {first.pid} serves it on this node" in told
    unnamed = Running(here, relays.endpoint)
    learner = here.learner_alone()
    assert unnamed.process.stderr is not None
    # On a busy machine it may say first that the router does not answer yet.
    said = iter(unnamed.process.stderr.readline, "")
    assert any(f"process {first.pid} serves it on this node" in line for line in said)
    assert here.status()["pid"] == first.pid
    first.signal(name)
    assert first.ends()[0] == 0
    until(lambda: here.status().get("pid") == unnamed.pid)
    learner.run("writer.close()")
    unnamed.signal(name)
    assert unnamed.ends()[0] == 0
    assert list(here.directory.iterdir()) == []


def test_messages_of_strangers_change_nothing_and_are_counted(cluster: Cluster, relays: Relays) -> None:
    _, there, learner, env = two_nodes(cluster, relays)
    stranger = cluster.node().python()
    stranger.run(
        "import random\n"
        "from traincast.relay.session import Network\n"
        "from traincast.relay.zenoh import ZenohEngines\n"
        "from traincast.relay.message import Life, Message, Stamp, seal\n"
        f"network = Network([{relays.endpoint!r}])\n"
        f"channel, chance = {cluster.channel + '@0'!r}, random.Random(1)\n"
        "engine = ZenohEngines(network, channel).connect()\n"
        "dead = Message(Life.CLOSED, 1, 2**63, 2**63, 0, Stamp(2**60, 1, 1), 'here', 1)\n"
        "for topic in ('snapshot', 'life') * 20:\n"
        "    engine.put(topic, chance.randbytes(chance.randrange(500)))\n"
        "    engine.put(topic, seal(dead, channel, None))\n"
        "    engine.put(topic, seal(dead, channel, b'another one'))\n"
        "    time.sleep(0.02)\n"
        "session = network.session()[1]\n"
        "for key in ('life/x', 'snapshot/x', 'claims/claim/x', 'life', 'x'):\n"
        "    for attachment in (None, b'', b'\\xff' * 9, b'\\xff' * 7 + b'\\0\\0', bytes(9), b'x' * 99):\n"
        "        session.put(f'traincast/1/{channel}/{key}', chance.randbytes(50), attachment=attachment)\n"
        "        session.put(f'traincast/1/.x/{key}', chance.randbytes(50), attachment=attachment)\n"
        "engine.swap('claim', engine.swap('claim', b'', b'x'), b'\\xff' * 100)\n"
    )
    until(lambda: there.status().get("dropped", 0) > 20)
    published(learner, 5)
    arrives(env, 5)
    alive(env)
    assert learner.value("writer.closed") is False
    assert sorted(path.name for path in there.directory.iterdir() if "@" not in path.name) == []


def test_without_a_key_it_warns_and_with_one_it_does_not(cluster: Cluster, relays: Relays) -> None:
    key = cluster.environment.pop("TRAINCAST_KEY")
    for node, environment in ((cluster.node(), None), (cluster.node(), {"TRAINCAST_KEY": key})):
        relay = relays.start(node, environment=environment)
        relay.signal("TERM")
        status, told = relay.ends()
        assert status == 0
        assert told.count("TRAINCAST_KEY") == (environment is None)
