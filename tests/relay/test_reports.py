"""Reports of relays: what was sealed arrives, whatever else is dropped, and nobody fills the memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast.relay.branch import Branch
from traincast.relay.engine import EngineLost
from traincast.relay.lines import Line
from traincast.relay.message import Gate, Malformed, channel_digest, tag_of
from traincast.relay.node import Relay
from traincast.relay.reports import _FIELDS, Reports, seal_report, unseal_report
from traincast.relay.sockets import SocketListeners
from traincast.relay.tcpstore import StoreEngines
from traincast.relay.tree import unseal_plan

CHANNEL = "run@0"


NUMBERS = st.integers(-(2**70), 2**70) | st.floats()
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def reports_of(key: bytes | None) -> Reports:
    gate = Gate(CHANNEL, key)
    store = StoreEngines("127.0.0.1", 1, CHANNEL)
    return Reports(gate, "0a", Line(store), dict, Branch(gate, "0a", store, "127.0.0.1", 2))


def test_what_a_relay_says_of_itself_arrives_as_it_was_sent() -> None:
    engines = StoreEngines("127.0.0.1", 1, CHANNEL)
    relay = Relay("run", 0, None, engines)
    said = relay.status()
    relay.end()
    assert said.keys() == _FIELDS.keys()
    full = {
        **said,
        "parent": ["host", "0b"],
        "serves": ["10.0.0.1", 65535],
        "origin": ["host", 7],
        "refused": [7, "8 on there"],
        "lag": 0.25,
        "lease": -3.0,
        "fault": "timeout",
        "scores": [3, 4],
        "since": 1e6,
    }
    for report in (said, full):
        for key in (None, b"secret"):
            assert unseal_report(seal_report(report, CHANNEL, key), CHANNEL, key) == report


def test_what_a_later_version_says_in_addition_is_left_out() -> None:
    assert unseal_report(seal_report({"node": "0f", "new": 1}, CHANNEL, None), CHANNEL, None) == {
        "node": "0f"
    }


@given(st.dictionaries(st.sampled_from(sorted(_FIELDS)), ANYTHING, max_size=6))
@pytest.mark.filterwarnings("ignore::traincast.TraincastWarning")
def test_whatever_others_report_nothing_fails_that_looks_at_it(report: dict[str, Any]) -> None:
    reports = reports_of(None)
    for node in ("0b", "0c", "0d", "0e"):
        reports._hear(seal_report({**report, "node": node}, CHANNEL, None))
    reports._hear(seal_report(report, CHANNEL, None))
    assert reports.children() >= 0
    heard = reports.all()
    assert len(json.dumps(heard, allow_nan=False)) < 100_000
    plans = _Plans()
    reports._branch.plan(plans, heard, 100)
    if plans.put_last:
        unseal_plan(plans.put_last, CHANNEL, None)


class _Plans:
    """What `Branch.plan` needs of an engine."""

    put_last = b""

    def put(self, topic: str, value: bytes) -> None:
        self.put_last = value

    def wait(self, *_: Any) -> None: ...

    def swap(self, *_: Any) -> bytes:
        return b""

    def close(self) -> None: ...


@pytest.mark.parametrize(
    "plan",
    [
        *(
            "[{}, [], NaN]",
            "[{}, [], Infinity]",
            "[{}, [], 1e999]",
            "[{}, [], 0]",
            f"[{{}}, [], 1{'0' * 400}]",
        ),
        *(
            f'[{{"0a": ["0b", "10.0.0.1", {port}]}}, [], 1]'
            for port in ("0", "65536", "-1", "true", "1.5", '"80"')
        ),
        *("{}", "[]", "[[], [], 1]", '[{"0a": 1}, [], 1]', "[{}, 1, 1]", "[" * 10_000),
    ],
)
def test_plans_that_cannot_be_are_refused(plan: str) -> None:
    whole = b"trainpln" + channel_digest(CHANNEL) + plan.encode()
    with pytest.raises(Malformed):
        unseal_plan(whole + tag_of(whole, b"", None), CHANNEL, None)


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300, "a\0b", "\udcff", "no.such.host.invalid"])
def test_a_parent_that_cannot_be_reached_is_lost_and_nothing_worse(host: str) -> None:
    with pytest.raises(EngineLost):
        SocketListeners(host, 1).connect()


@given(st.binary(max_size=300))
def test_bytes_that_are_not_a_report_are_refused(data: bytes) -> None:
    inside = b"trainrep" + channel_digest(CHANNEL) + data
    if b'"node"' in data:
        return
    for bad in (
        data,
        inside,
        inside + tag_of(inside, b"", b"another key"),
        inside + tag_of(inside, b"", b"key"),
    ):
        with pytest.raises(Malformed):
            unseal_report(bad, CHANNEL, b"key")


@pytest.mark.parametrize("text", ["[]", "{}", '{"node": 1}', "[" * 100_000, '{"node":"' + "x" * 5000 + '"}'])
def test_reports_that_say_nothing_of_use_are_refused(text: str) -> None:
    whole = b"trainrep" + channel_digest(CHANNEL) + text.encode()
    with pytest.raises(Malformed):
        unseal_report(whole + tag_of(whole, b"", None), CHANNEL, None)
    good = seal_report({"node": "0f"}, CHANNEL, None)
    with pytest.raises(Malformed, match="another channel"):
        unseal_report(good, "run@1", None)
    damaged = bytearray(good)
    damaged[-40] ^= 1
    with pytest.raises(Malformed):
        unseal_report(bytes(damaged), CHANNEL, None)


def test_the_last_report_of_each_node_counts_and_strangers_change_nothing() -> None:
    reports = reports_of(b"key")
    for node, parent, lag in (
        ("0b", "0a", 1),
        ("0c", "0b", 2),
        ("0b", "0a", 3),
        ("0a", None, 4),
        ("0d", None, 5),
    ):
        report = {"node": node, "parent": parent and ["host", parent], "lag": lag}
        reports._hear(seal_report(report, CHANNEL, b"key"))
    with pytest.warns(traincast.TraincastWarning, match="was dropped"):
        reports._hear(seal_report({"node": "0e"}, CHANNEL, None))
    assert [(report["node"], report["lag"]) for report in reports.all()] == [("0b", 3), ("0c", 2), ("0d", 5)]
    assert all(0 <= report["silent"] < 60 for report in reports.all())
    assert reports.children() == 1
    assert reports._gate.dropped.total() == 1
