"""The tree of relays as `traincast relay status` prints it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from traincast import _core
from traincast.cli._json import print_json
from traincast.cli._tables import Cell, Column, console, print_table
from traincast.cli._text import age, printable

__all__ = ["host_of", "parent_of", "status"]

_COLUMNS = [
    Column("NODE", least=12),
    Column("PID", right=True, spare=4),
    Column("ROLE"),
    Column("STATE"),
    Column("PARENT", least=8, spare=3),
    Column("CHILDREN", right=True, spare=2),
    Column("LAG", right=True),
    Column("LEASE", right=True, spare=5),
    Column("COALESCED", right=True, spare=7),
    Column("DROPPED", right=True, spare=1),
    Column("SILENT", right=True, spare=6),
]

Relay = dict[str, Any]


def status(names: list[str], as_json: bool) -> None:
    """Print the relays of these channels, or of all: on the learner's node the tree, else this node's."""
    found = [tree for channel in _core.list_channels() if (tree := _tree(channel, names)) is not None]
    if as_json:
        print_json(found, indent=2)
        return
    if not found:
        print("No relay serves a channel here.")
    for tree in found:
        root, *others = tree["relays"]
        count = f"{len(others)} other{'' if len(others) == 1 else 's'}"
        print(f"{tree['name']}, policy {tree['policy_id']}, via {printable(root.get('via', '-'))}: ", end="")
        if tree["whole"]:
            print(f"the learner is here; {count} reported.")
        else:
            print(f"the learner is on {host_of(root.get('origin'))}; this command shows all relays there.")
        print_table(console(), _COLUMNS, [_row(relay, depth) for relay, depth in _ordered(tree["relays"])])


def _tree(channel: dict[str, Any], names: list[str]) -> dict[str, Any] | None:
    name, policy_id = channel["name"], channel["policy_id"]
    if names and name not in names:
        return None
    own = _said(name, policy_id)
    if own is None:
        return None
    others = own.pop("relays", [])
    return {
        "name": name,
        "policy_id": policy_id,
        "whole": own.get("role") == "source",
        "relays": [{**own, "silent": 0.0}, *others],
    }


def _said(name: str, policy_id: int) -> Relay | None:
    for _ in range(20):
        text = _core.relay_status(name, policy_id)
        if text is None:
            return None
        try:
            said = json.loads(text)
        except ValueError:  # it is being written
            time.sleep(0.01)
            continue
        return said if isinstance(said, dict) else None
    return None


def _ordered(relays: list[Relay]) -> Iterator[tuple[Relay, int]]:
    """Yield the relays of a tree with their depth, children after parents; those with no parent here last."""
    below: dict[str | None, list[Relay]] = {}
    known = {relay.get("node") for relay in relays}
    for relay in relays[1:]:
        parent = (relay.get("parent") or [None])[-1]
        below.setdefault(parent if parent in known else None, []).append(relay)

    ahead = [(relays[0], 0)]
    while ahead:
        relay, depth = ahead.pop()
        yield relay, depth
        children = sorted(below.pop(relay.get("node"), ()), key=lambda child: str(child.get("host")))
        ahead += [(child, depth + 1) for child in reversed(children)]
    for relay in [relay for rest in below.values() for relay in rest]:
        yield relay, 0


def _row(relay: Relay, depth: int) -> list[Cell]:
    lag, lease = relay.get("lag"), relay.get("lease")
    return [
        "  " * depth + printable(str(relay.get("host", "-"))),
        str(relay.get("pid", "-")),
        printable(str(relay.get("role", "-"))),
        printable(str(relay.get("state", "-"))),
        parent_of(relay),
        str(relay.get("children", 0)),
        age(lag) if isinstance(lag, (int, float)) else "-",
        age(max(lease, 0.0)) if isinstance(lease, (int, float)) else "-",
        str(relay.get("coalesced", 0)),
        str(relay.get("dropped", 0)),
        age(float(relay.get("silent", 0.0))),
    ]


def parent_of(relay: Mapping[str, Any]) -> str:
    """Return the machine that a relay receives from, and whether it does so through the engine."""
    parent = host_of(relay.get("parent"))
    return f"{parent} (engine)" if relay.get("direct") is False and parent != "-" else parent


def host_of(where: Any) -> str:
    """Return the machine in an entry of a status, `[machine, node or process]`; `-` if there is none."""
    return printable(str(where[0])) if isinstance(where, list) and where else "-"
