"""Reports of relays: what was sealed arrives, whatever else is dropped, and nobody fills the memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traincast
from traincast.relay.branch import Branch
from traincast.relay.lines import Line
from traincast.relay.message import Gate, Malformed, channel_digest, tag_of
from traincast.relay.reports import Reports, seal_report, unseal_report
from traincast.relay.tcpstore import StoreEngines

CHANNEL = "run@0"


@given(st.dictionaries(st.text(max_size=20), st.integers() | st.text(max_size=20), max_size=10))
def test_a_report_arrives_as_it_was_sent(report: dict[str, Any]) -> None:
    report["node"] = "0f"
    for key in (None, b"secret"):
        assert unseal_report(seal_report(report, CHANNEL, key), CHANNEL, key) == report


@given(st.binary(max_size=300))
def test_bytes_that_are_no_report_are_refused(data: bytes) -> None:
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
    gate = Gate(CHANNEL, b"key")
    store = StoreEngines("127.0.0.1", 1, CHANNEL)
    reports = Reports(gate, "0a", Line(store), dict, Branch(gate, "0a", store, None, None))
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
    assert gate.dropped.total() == 1
