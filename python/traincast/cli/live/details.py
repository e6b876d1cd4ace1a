"""One channel: the curve of its training steps, its readers, and its newest values."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from traincast.cli._channels import command_line
from traincast.cli._scores import summary
from traincast.cli._text import age, printable, size
from traincast.cli._values import flatten, short_text
from traincast.cli.live.monitor import Track, read
from traincast.cli.live.rows import CURVE, READERS, VALUES, reader_row, spark, title
from traincast.cli.live.table import LiveTable

__all__ = ["Details"]

_VALUES_SHOWN = 500


class Details(Container):
    """The channel that the cursor is on, in the lower half of the screen or on all of it."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self._of: tuple[str, int] | None = None
        self._read: tuple[Any, ...] | None = None
        self._info: dict[Any, Any] | None = None
        self._texts: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        yield Static(id="head")
        yield Static(id="curve")
        with Container(id="tables"):
            yield LiveTable(READERS, id="readers", cursor=False)
            yield LiveTable(VALUES, id="values", cursor=False)

    def show(self, track: Track | None) -> None:
        """Show a channel as it is now; `None`: nothing."""
        readers, values = self.query_one("#readers", LiveTable), self.query_one("#values", LiveTable)
        if track is None:
            self._of = None
            self.query_one("#head", Static).update("", layout=False)
            self.query_one("#curve", Static).update("", layout=False)
            readers.show([], readers.size.width)
            values.show([], values.size.width)
            return
        channel = track.channel
        key = (channel["name"], channel["policy_id"])
        if key != self._of:
            self._of, self._read, self._texts = key, None, {}
            readers.forget_widths()
            values.forget_widths()
        self.query_one("#head", Static).update(self._head(track), layout=False)
        curve = Text(spark(track.history, self.size.width), style=CURVE)
        self.query_one("#curve", Static).update(curve, layout=False)
        for reader in channel["readers"]:
            known = reader["alive"] and not reader["elsewhere"]
            reader["command"] = command_line(reader["pid"]) if known else None
        slowest_first = sorted(
            channel["readers"], key=lambda r: (not r["alive"], -(r["seconds_behind"] or 0))
        )
        rows = [
            ((reader["pid"], reader["elsewhere"], i), reader_row(reader))
            for i, reader in enumerate(slowest_first)
        ]
        readers.show(rows, readers.size.width)
        newest = (channel["term"], channel["version"])
        if newest != self._read:
            self._read, self._info = newest, read(channel)
        self._show_values(values)

    def _head(self, track: Track) -> Text:
        channel = track.channel
        head = Text(title(channel), style="bold")
        if channel["status"] == "broken":
            return head.append(f"  is broken: {printable(channel['reason'] or '')}", style="red")
        origin = "" if channel["status"] != "live" else f"  pid {channel['writer_pid']}"
        scores = summary(channel["name"], channel["policy_id"])
        return head.append(
            f"  version {channel['version']}  epoch {channel['epoch']}  {age(channel['age'] or 0.0)} old"
            f"  {size(channel['size'])}{origin}{'  ' * bool(scores)}{scores}",
            style="not bold",
        )

    def _show_values(self, table: LiveTable) -> None:
        leaves = list(flatten(self._info or {}))
        before, self._texts = self._texts, {}
        rows: list[tuple[str, list[Text]]] = []
        for key, value in leaves[:_VALUES_SHOWN]:
            text = self._texts[key] = short_text(value)
            changed = before.get(key, text) != text
            rows.append((key, [Text(printable(key)), Text(text, style="bold yellow" if changed else "")]))
        if len(leaves) > _VALUES_SHOWN:
            rows.append(("", [Text(f"and {len(leaves) - _VALUES_SHOWN} more"), Text("see traincast get")]))
        table.show(rows, table.size.width)
