"""Coverage-guided fuzzing of what relays send each other: `scripts/fuzz` runs it, under atheris.

    python tests/relay/fuzz_messages.py CORPUS [options of libFuzzer]

The input is the inside of a message. Magic, channel and tag are put around it as its source would, so that
what is read is what a member of the cluster could have said. Either it can be used, or it is `Malformed`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings

import atheris

with atheris.instrument_imports(include=["traincast.relay", "json"]):
    from traincast.relay.branch import Branch
    from traincast.relay.lines import Line
    from traincast.relay.message import Gate, Malformed, channel_digest, tag_of, unseal
    from traincast.relay.reports import Reports, unseal_report
    from traincast.relay.speech import claimed_by
    from traincast.relay.succession import Opener, published_ns_of
    from traincast.relay.tallies import unseal_tallies
    from traincast.relay.tcpstore import StoreEngines
    from traincast.relay.tree import unseal_plan

warnings.simplefilter("ignore")
CHANNEL = "run@0"
DIGEST = channel_digest(CHANNEL)
FORM = (1).to_bytes(8, "little")
STORE = StoreEngines("127.0.0.1", 1, CHANNEL)


def message(inside: bytes) -> None:
    """An envelope of numbers, and a snapshot that may agree with them."""
    head, wire = inside[:160].ljust(160, b"\1"), inside[160:]
    if len(wire) > 191 and inside[0] & 1:  # as a source does: what the envelope repeats is the snapshot's
        head = head[:56] + wire[32:56] + wire[72:80] + wire[128:192] + len(wire).to_bytes(8, "little")
    head = b"trainrly" + FORM + DIGEST + head
    found = unseal(head + wire + tag_of(head, wire, None), CHANNEL, None)
    assert isinstance(found.host, str)
    assert found.key >= (0, 0, "", 0)
    if wire:
        assert found.published_ns == published_ns_of(wire)
        opener = Opener(CHANNEL, None, found)
        assert opener.open(head + wire + tag_of(head, wire, None)) is None  # it is not later than itself


def report(inside: bytes) -> None:
    """Everything that looks at a report."""
    whole = b"trainrep" + DIGEST + inside
    data = whole + tag_of(whole, b"", None)
    gate = Gate(CHANNEL, None)
    reports = Reports(gate, "0a", Line(STORE), dict, Branch(gate, "0a", STORE, "127.0.0.1", 2))
    reports._hear(data)
    json.dumps(reports.all(), allow_nan=False)
    assert reports.children() <= 1
    unseal_report(data, CHANNEL, None)


def plan(inside: bytes) -> None:
    """Whom to hear, and how often to report."""
    whole = b"trainpln" + DIGEST + inside
    found = unseal_plan(whole + tag_of(whole, b"", None), CHANNEL, None)
    assert 1 <= found.pace <= 3600
    assert all(0 < parent.port < 65536 for parent in found.parents.values())


def tallies(inside: bytes) -> None:
    """Totals, whose counters the core checks."""
    whole = b"traintal" + FORM + DIGEST + inside
    unseal_tallies(whole + tag_of(whole, b"", None), CHANNEL, None)


def claim(inside: bytes) -> None:
    """Who has the channel, as the engine says it."""
    found = claimed_by(inside)
    assert found is None or isinstance(str(found[0]), str)


FORMS = (message, report, plan, tallies, claim)


def one(data: bytes) -> None:
    """One input: which form, and its inside."""
    if data:
        with contextlib.suppress(Malformed):
            FORMS[data[0] % len(FORMS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
