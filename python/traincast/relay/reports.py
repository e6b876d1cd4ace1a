"""Reports: each relay sends its status, which the learner's node collects for `traincast relay status`.

All relays put to one topic, where one report may be overtaken by the next: so each relay sends its own about
once a second, and a report counts for some seconds. No channel depends on reports. As with snapshots
(`message`), the bytes are untrusted.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from traincast._warnings import warn_once
from traincast.relay.branch import Branch
from traincast.relay.engine import Engine, EngineLost
from traincast.relay.lines import Line
from traincast.relay.message import TAG_BYTES, Gate, Malformed, channel_digest, check_tag, tag_of
from traincast.relay.tree import is_port

__all__ = ["REPORTS", "Report", "Reports", "seal_report", "unseal_report"]

REPORTS = "reports"
"""The topic."""

_MAGIC = b"trainrep"
_HEAD = len(_MAGIC) + 16
_TURN = 0.5
_FORGET_AFTER = 10
"""The number of reports in a row that a relay must miss to be forgotten."""

_MOST_BYTES = 4096
_MOST_TEXT = 1024
_MOST = 4096

Report = dict[str, Any]
"""What `Relay.status` returns."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e18  # which NaN is not, either


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_pair(first: Callable[[Any], bool], second: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) == 2 and first(value[0]) and second(value[1])


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("via", "node", "host", "role", "state"), _is_text),
    **dict.fromkeys(("pid", "children", "size", "published", "coalesced", "outdated", "dropped"), _is_count),
    "since": _is_number,
    "lag": _or_none(_is_number),
    "lease": _or_none(_is_number),
    "parent": _or_none(_is_pair(_is_text, _is_text)),
    "origin": _or_none(_is_pair(_is_text, _is_count)),
    "serves": _or_none(_is_pair(_is_text, is_port)),
    "refused": _or_none(_is_pair(_is_count, _is_text)),
    "scores": _is_pair(_is_count, _is_count),
    "connected": _is_flag,
    "direct": _or_none(_is_flag),
    "fault": _or_none(_is_text),
}


def seal_report(report: Report, channel: str, key: bytes | None) -> bytes:
    """Return the bytes of a report. `channel` is the channel's name and policy: `"run@0"`."""
    text = json.dumps(report, separators=(",", ":")).encode()
    whole = _MAGIC + channel_digest(channel) + text
    return whole + tag_of(whole, b"", key)


def unseal_report(data: bytes, channel: str, key: bytes | None) -> Report:
    """Check bytes, and return the report in them.

    Raises: `Malformed`.
    """
    if not data.startswith(_MAGIC) or not _HEAD + TAG_BYTES < len(data) <= _MOST_BYTES:
        raise Malformed("it does not begin like a message of traincast")
    whole, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
    check_tag(tag, tag_of(whole, b"", key), key)
    if whole[len(_MAGIC) : _HEAD] != channel_digest(channel):
        raise Malformed("it is for another channel")
    try:
        said = json.loads(whole[_HEAD:])
    except (ValueError, RecursionError) as error:
        raise Malformed("its report is not JSON") from error
    if not isinstance(said, dict) or "node" not in said:
        raise Malformed("its report does not name its node")
    report = {field: said[field] for field in _FIELDS.keys() & said.keys()}  # a later version may send more
    if not all(_FIELDS[field](value) for field, value in report.items()):
        raise Malformed("its report has impossible values")
    return report


class Reports:
    """Sends this relay's reports; on the learner's node, collects those of the others. One thread runs it."""

    def __init__(
        self, gate: Gate, node: str, line: Line, status: Callable[[], Report], branch: Branch
    ) -> None:
        """`status`: returns the status of this relay. `branch`: its place in the tree."""
        self._branch = branch
        self._gate, self.node, self._line, self._status = gate, node, line, status
        self._heard: dict[str, tuple[float, Report]] = {}
        self._lock = threading.Lock()
        self._mark: Any = None

    def all(self) -> list[Report]:
        """Return the latest reports of the other relays, with the seconds since then as `silent`."""
        now, limit = time.monotonic(), _FORGET_AFTER * self._branch.pace
        with self._lock:
            self._heard = {
                node: (at, report) for node, (at, report) in self._heard.items() if now - at < limit
            }
            return [{**report, "silent": round(now - at, 3)} for at, report in self._heard.values()]

    def children(self) -> int:
        """Return how many relays receive from this one, by their reports."""
        with self._lock:
            reports = [report for _, report in self._heard.values()]
        return sum((report.get("parent") or [None])[-1] == self.node for report in reports)

    def run(self, stop: threading.Event) -> None:
        """Run until `stop` is set."""
        while not stop.is_set():
            try:
                with self._line.connection(stop) as engine:
                    say_at = 0.0
                    while not stop.is_set():
                        report = self._status()
                        if time.monotonic() >= say_at:
                            say_at = time.monotonic() + self._branch.pace * random.uniform(0.75, 1.25)
                            engine.put(REPORTS, seal_report(report, self._gate.channel, self._gate.key))
                        if report["role"] != "source":
                            # No longer than until its next report: a new plan wakes all relays at once.
                            self._branch.obey(engine, min(max(say_at - time.monotonic(), 0.001), _TURN))
                        else:
                            speaks = report["state"] == "speaking"
                            self._branch.be_root(speaks)
                            self._gather(engine)
                            if speaks:
                                self._branch.plan(engine, self.all(), report["size"])
            except EngineLost:
                pass
            except Exception as error:  # whatever it is, the channel does not depend on it
                said = f"{self._gate.channel}: {type(error).__name__}: {error}"
                warn_once(("relay reports", self._gate.channel, type(error)), said)
                stop.wait(_TURN)

    def _gather(self, engine: Engine) -> None:
        """Collect reports for a while; of many that come at once, some are overtaken."""
        until = time.monotonic() + _TURN
        while (left := until - time.monotonic()) > 0:
            news = engine.wait(REPORTS, self._mark, left)
            if news is not None:
                self._mark, data = news
                self._hear(data)

    def _hear(self, data: bytes) -> None:
        report = self._gate.admit_as(unseal_report, data)
        if report is None or report["node"] == self.node:
            return
        with self._lock:
            if report["node"] in self._heard or len(self._heard) < _MOST:
                self._heard[report["node"]] = (time.monotonic(), report)
