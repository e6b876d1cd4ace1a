"""`traincast relay` where it cannot begin, and its `status`. What they do on nodes: tests/relay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
from shell import Shell

import traincast
from traincast._core import RelayLock


def test_without_a_router_it_says_how_to_name_one(shell: Shell) -> None:
    for words in ([], ["run"]):
        done = shell("relay", "--via", "zenoh", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--listen" in done.stderr
    assert shell("relay", "--via", "pigeon", "tcp/host:1").returncode == 2


@pytest.mark.skipif(find_spec("zenoh") is not None, reason="zenoh is installed here")
def test_without_zenoh_it_names_the_command_that_installs_it(shell: Shell) -> None:
    done = shell("relay", "--via", "zenoh", "tcp/127.0.0.1:7447")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("pip install 'traincast[zenoh]'\n")
    assert done.stderr.count("\n") == 1


@pytest.fixture
def tree(traincast_dir: Path) -> Iterator[tuple[RelayLock, RelayLock]]:
    """Where the learner of one channel is, and where that of another one is not."""
    far = traincast_dir / "far"
    with (
        traincast.TrainingInfoWriter("here") as here,
        traincast.TrainingInfoWriter("far", directory=far) as there,
    ):
        for writer in (here, there):
            writer.publish({"approx_total_training_steps": 1})
        sink = traincast.TrainingInfoWriter("far")
        sink.publish_wire(there.read_wire())
        root, leaf = RelayLock("here"), RelayLock("far")
        common = {"via": "an engine", "pid": 7, "state": "live", "role": "sink", "dropped": 0, "coalesced": 3}
        others = [
            common
            | {"node": f"{i:016x}", "host": f"node{i}", "parent": [f"node{p}", f"{p:016x}"], "lag": 0.002}
            for i, p in ((3, 2), (2, 1), (4, 2), (5, 1), (6, 99))
        ]
        for other in others:
            other |= {"silent": 0.5, "direct": other["host"] != "node4"}
        root.announce(
            json.dumps(
                common
                | {"node": f"{1:016x}", "host": "node1", "role": "source", "state": "speaking", "children": 2}
                | {"parent": None, "relays": others}
            )
        )
        leaf.announce(
            json.dumps(common | {"node": f"{8:016x}", "host": "node8", "origin": ["node9", 4], "lease": 1.2})
        )
        yield root, leaf
        sink.close()
        root.close()
        leaf.close()


@pytest.mark.usefixtures("tree")
def test_status_shows_the_tree_where_the_learner_is(shell: Shell) -> None:
    first, titles, *rows = shell("relay", "status", "here").stdout.splitlines()
    assert first == "here, policy 0, via an engine: the learner is here; 5 others reported."
    assert titles.split()[:6] == ["NODE", "PID", "ROLE", "STATE", "PARENT", "CHILDREN"]
    assert [row.partition(" 7 ")[0].rstrip() for row in rows] == [
        "node1",
        "  node2",
        "    node3",
        "    node4",
        "  node5",
        "node6",
    ]
    assert " node2 (engine) " in rows[3]
    assert rows[2].split() == [
        "node3",
        "7",
        "sink",
        "live",
        "node2",
        "0",
        "2.0",
        "ms",
        "-",
        "3",
        "0",
        "500",
        "ms",
    ]


@pytest.mark.usefixtures("tree")
def test_status_of_another_node_says_where_the_tree_is_seen(shell: Shell) -> None:
    first, _, row = shell("relay", "status", "far").stdout.splitlines()
    assert (
        first == "far, policy 0, via an engine: the learner is on node9; this command shows all relays there."
    )
    assert row.split()[0] == "node8"
    assert len(shell("relay", "status").stdout.splitlines()) == 11
    assert shell("relay", "status", "none").stdout == "No relay serves a channel here.\n"


@pytest.mark.usefixtures("tree")
def test_status_as_json_is_what_its_schema_says(shell: Shell) -> None:
    schema = json.loads((files("traincast.cli") / "schemas" / "relay.schema.json").read_text())
    found = json.loads(shell("relay", "status", "--json").stdout)
    jsonschema.validate(found, schema, cls=jsonschema.Draft202012Validator)
    assert [(tree["name"], tree["whole"], len(tree["relays"])) for tree in found] == [
        ("far", False, 1),
        ("here", True, 6),
    ]
    assert "relays" not in json.loads(shell("ls", "--json").stdout)[1]["relay"]
