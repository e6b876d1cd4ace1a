"""A tree of relays: which relay receives from which, and what happens to those whose parent is gone."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from meeting import Meeting
from nodes import Cluster, Node, until
from processes import Process
from test_nodes import alive, arrives, numbers, published

import traincast
from traincast.relay.engine import EngineLost
from traincast.relay.message import Malformed
from traincast.relay.sockets import SocketListeners
from traincast.relay.tree import Parent, Planner, fan_out_from_environment, seal_plan, unseal_plan

NODES = 7
FAN_OUT = 2


ROOT = Parent("r", "host", 1)


def depth(parents: dict[str, Parent], node: str) -> int:
    return 0 if node not in parents else 1 + depth(parents, parents[node].node)


def test_seven_nodes_with_two_children_each_are_three_levels_deep() -> None:
    places = {node: ("host", ord(node)) for node in "abcdefg"}
    plan = Planner(2).plan(ROOT, places, 100)
    assert {node: parent.node for node, parent in plan.parents.items()} == dict(
        zip("abcdefg", "rraabbc", strict=True)
    )
    assert plan.serving == {"r", "a", "b", "c"}
    assert max(depth(dict(plan.parents), node) for node in places) == 3
    assert unseal_plan(seal_plan(plan, "run@0", b"key"), "run@0", b"key") == plan
    for data in (b"", seal_plan(plan, "run@0", None), seal_plan(plan, "run@1", b"key")):
        with pytest.raises(Malformed):
            unseal_plan(data, "run@0", b"key")


@pytest.mark.parametrize(("size", "fan_out"), [(100, 32), (400_000, 10)])
def test_up_to_32_nodes_are_children_of_the_root_and_more_are_a_tree(size: int, fan_out: int) -> None:
    nodes = [f"{i:04}" for i in range(1000)]
    planner = Planner()
    assert set(planner.plan(ROOT, dict.fromkeys(nodes[:32], ("host", 1)), size).parents.values()) == {ROOT}
    plan = planner.plan(ROOT, dict.fromkeys(nodes, ("host", 1)), size)
    assert len(plan.parents) == 1000
    children: dict[str, int] = {}
    for parent in plan.parents.values():
        children[parent.node] = children.get(parent.node, 0) + 1
    assert set(children.values()) <= set(range(1, fan_out + 1))
    assert max(depth(dict(plan.parents), node) for node in nodes) <= (2 if fan_out == 32 else 3)


def test_when_a_node_goes_the_last_one_takes_its_place_and_few_others_move() -> None:
    planner = Planner(2)
    places = {f"{i:02}": ("host", i) for i in range(31)}
    before = planner.plan(ROOT, places, 100).parents
    del places["01"]
    after = planner.plan(ROOT, places, 100).parents
    moved = {node for node in places if before.get(node) != after.get(node)}
    assert moved == {"30", "04", "05"}
    assert all(parent == ROOT or parent.node in places for parent in after.values())


@pytest.mark.parametrize("said", ["-1", "many", "1.5", "²"])
def test_a_fan_out_that_is_no_number_is_ignored_and_told(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINCAST_RELAY_FAN_OUT", said)
    with pytest.warns(traincast.TraincastWarning, match="is ignored: set it to a number of children"):
        assert fan_out_from_environment() is None
    for good, wanted in (("", None), ("0", 0), ("12", 12)):
        monkeypatch.setenv("TRAINCAST_RELAY_FAN_OUT", good)
        assert fan_out_from_environment() == wanted


def test_a_relay_that_does_not_serve_yet_is_nobodys_parent() -> None:
    places: dict[str, tuple[str, int] | None] = dict.fromkeys("abc")
    plan = Planner(2).plan(None, places, 100)
    assert (plan.parents, plan.serving) == ({}, {"a"})


class Tree:
    """A hub, a learner with its relay, and seven others: each a process, on a node of its own."""

    def __init__(self, root: Path, channel: str) -> None:
        self.root, self.channel = root, channel
        self.meeting = Meeting("127.0.0.1")
        self.processes: list[Process] = []
        self.learner = self.learn(0)
        self.source = self.relay(0)
        self.sinks = [self.relay(number) for number in range(1, NODES + 1)]

    def process(self, number: int) -> Process:
        here = {"TRAINCAST_DIR": str(self.root / f"node{number}"), "PYTHONPATH": str(Path(__file__).parent)}
        process = Process(environment=here)
        self.processes.append(process)
        return process

    def learn(self, number: int) -> Process:
        learner = self.process(number)
        learner.run(f"writer = traincast.TrainingInfoWriter({self.channel!r})")
        published(learner, 1)
        return learner

    def relay(self, number: int) -> Process:
        relay = self.process(number)
        relay.run(
            "import threading\n"
            "from traincast.relay.node import Relay\n"
            "from meeting import MeetingEngines\n"
            f"relay = Relay({self.channel!r}, 0, None, MeetingEngines(*{self.meeting.places}),\n"
            f"    key=b'secret', address='127.0.0.1', fan_out={FAN_OUT})\n"
            "threading.Thread(target=relay.run, args=(lambda: True,), daemon=True).start()\n"
            f"reader = traincast.TrainingInfoReader({self.channel!r}, attach_timeout=100)\n"
        )
        return relay

    def levels(self) -> list[int]:
        """How many relays are between each of those that live and the hub."""
        reports = {sink.value("relay.reports.node"): sink.value("relay.status()") for sink in self.sinks}
        found = []
        for node in reports:
            level, at = 0, node
            while (parent := (reports[at]["parent"] or ["", ""])[1]) in reports and level < NODES:
                level, at = level + 1, parent
            found.append(level)
        return sorted(found)

    def parents(self) -> list[Process]:
        return [sink for sink in self.sinks if sink.value("relay.status()['children']")]

    def close(self) -> None:
        for process in self.processes:
            process.close()
        self.meeting.close()


@pytest.fixture
def tree(traincast_dir: Path, channel_name: str) -> Iterator[Tree]:
    tree = Tree(traincast_dir, channel_name)
    yield tree
    tree.close()


def test_all_receive_each_snapshot_and_a_relay_without_its_parent_goes_on_at_once(tree: Tree) -> None:
    until(lambda: tree.levels() == [0, 0, 1, 1, 1, 1, 2], "three levels")
    for wanted in range(2, 20):
        version = published(tree.learner, wanted)
        for sink in tree.sinks:
            arrives(sink, wanted)
            assert numbers(sink) == (version, 1)
    until(lambda: len(tree.source.value("relay.reports.all()")) == NODES)
    until(lambda: tree.source.value("relay.status()['children']") == FAN_OUT)

    for number, name in enumerate((signal.SIGSTOP, signal.SIGKILL), start=100):
        parent = max(tree.parents(), key=lambda sink: sink.value("relay.status()['children']"))
        tree.sinks.remove(parent)
        parent.signal(name)
        for steps in range(number * 100, number * 100 + 30):
            published(tree.learner, steps)
            tree.learner.run("import time; time.sleep(0.05)")
        for sink in tree.sinks:
            arrives(sink, steps)
            assert sink.value("(relay.sink.link, relay.status()['since'] > 1.5)") == ("live", True), (
                "no lease ended"
            )
    until(lambda: tree.levels() == [0, 0, 1, 1, 1], "two levels: five are left")

    # The learner is gone, and comes back where a leaf was.
    tree.learner.kill()
    for sink in tree.sinks:
        alive(sink, False)
    leaf = next(sink for sink in tree.sinks if sink not in tree.parents())
    again = tree.process(0)
    place = str(leaf.value("reader.directory"))
    again.run(f"writer = traincast.TrainingInfoWriter({tree.channel!r}, directory={place!r})")
    published(again, 7)
    for sink in tree.sinks:
        arrives(sink, 7)
        alive(sink)


def test_a_relay_that_serves_takes_nothing_from_strangers(tree: Tree) -> None:
    until(lambda: tree.levels() == [0, 0, 1, 1, 1, 1, 2], "three levels")
    port = next(place[1] for sink in tree.sinks if (place := sink.value("relay.status()['serves']")))
    for bad in (
        b"",
        b"x" * 100,
        b"\1\4" + bytes(8) + b"\xff" * 100,
        b"\2\4" + b"\xff" * 100,
        b"\3" + bytes(50),
    ):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(bad)
    stranger = SocketListeners("127.0.0.1", port).connect()
    with pytest.raises(EngineLost):
        stranger.wait("claim", None, 9)
    stranger.close()
    published(tree.learner, 5)
    for sink in tree.sinks:
        arrives(sink, 5)


@pytest.mark.cluster
def test_under_a_launcher_nodes_become_a_tree_that_outlives_its_parents(cluster: Cluster) -> None:
    cluster.environment["TRAINCAST_RELAY_FAN_OUT"] = "2"
    here = cluster.node()
    learner = here.learner()
    others = [cluster.node() for _ in range(4)]
    for node in others:
        node.joined()
    envs = [node.env() for node in others]

    def children() -> list[Node]:
        mine = {node.status().get("node") for node in others}
        return [node for node in others if (node.status().get("parent") or ["", ""])[1] in mine]

    until(lambda: len(children()) == 2, "two levels")
    for steps in range(2, 20):
        published(learner, steps)
        for env in envs:
            arrives(env, steps)
    until(lambda: len(here.reports()) == 4)
    (parent,) = [node for node in others if node.status()["node"] == children()[0].status()["parent"][1]]
    parent.kill(parent.status()["pid"])
    for steps in range(100, 130):
        published(learner, steps)
    for env in envs:
        arrives(env, steps)
        alive(env)
    until(lambda: len(children()) == 2, "two levels again")
    published(learner, 1000)
    for env in envs:
        arrives(env, 1000)
