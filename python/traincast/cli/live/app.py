"""The screen of `traincast top`, and its keys."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.widgets import DataTable, Footer, Input, Static

from traincast.cli._channels import living
from traincast.cli._failures import sentence
from traincast.cli._text import printable
from traincast.cli.live.details import Details
from traincast.cli.live.monitor import Monitor, Track
from traincast.cli.live.rows import CHANNELS, Order, channel_row, chosen
from traincast.cli.live.table import LiveTable

__all__ = ["LOOKALIKES", "Top"]

_ROOMY = 20  # lines that the list and the details need together

LOOKALIKES = "traincast-lookalikes"
"""An error handler for terminals that lack a character: it writes another one of the same width."""

_SIMILAR = dict(zip("▁▂▃▄▅▆▇█▲▼…─━│┃▏▎▍▌▋▊▉▐▔", "__.-~=+#^v.--||||||||| -", strict=True))


def _lookalike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SIMILAR.get(c, "?") for c in error.object[error.start : error.end]), error.end


codecs.register_error(LOOKALIKES, _lookalike)


class Top(App[None]):
    """All channels of this machine, live.

    Args:
        interval: seconds between two looks.
        pattern: which channels are shown, as after `/`.
    """

    CSS = """
    #summary { height: 1; color: $text-muted; }
    #pattern { height: 1; border: none; padding: 0; display: none; }
    LiveTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; background: $background; }
    #channels { height: auto; min-height: 3; max-height: 50%; }
    #details { height: 1fr; }
    #head { height: 1; background: $panel; }
    #curve { height: 1; }
    #tables { layout: horizontal; height: 1fr; }
    #readers, #values { width: 1fr; }
    Top.narrow #tables { layout: vertical; }
    Top.narrow #readers { height: 1fr; max-height: 6; }
    Top.low #channels { height: 1fr; max-height: 100%; }
    Top.low #details { display: none; }
    Top.zoomed #channels { display: none; }
    Top.zoomed #details { display: block; }
    """
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "#channels"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("s", "sort", "Sort"),
        Binding("r", "reverse", "Reverse"),
        Binding("enter", "zoom", "Details", key_display="Enter", priority=True),
        Binding("escape", "leave", "Back", key_display="Esc", show=False),
        Binding("tab", "app.focus_next", "Next pane", show=False),
    ]

    def __init__(self, interval: float = 2.0, pattern: str = "") -> None:
        super().__init__()
        self.animation_level = "none"
        self._interval = interval
        self._pattern = pattern
        self._monitor = Monitor()
        self._order = Order()
        self._shown: list[Track] = []

    def compose(self) -> ComposeResult:
        """Create the widgets."""
        yield Static(id="summary")
        yield Input(
            self._pattern, placeholder="part of a name, or alive, dead, broken", id="pattern", compact=True
        )
        yield LiveTable(CHANNELS, id="channels", cursor=True)
        yield Details()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Start polling."""
        self.set_interval(self._interval, self.look)
        self.call_after_refresh(self.look)

    def look(self) -> None:
        """Look at all channels, and show them."""
        self._monitor.look()
        self._show()

    def _show(self) -> None:
        # A timer may fire while the screen is being built or removed, when only some of its widgets exist.
        with suppress(NoMatches):
            self._show_all()

    def _show_all(self) -> None:
        tracks = list(self._monitor.tracks.values())
        self._shown = chosen(tracks, self._order, self._pattern)
        table = self.query_one("#channels", LiveTable)
        rows = [(self._key(track), channel_row(track)) for track in self._shown]
        table.show(rows, self.size.width - 1, {self._order.by: self._order.mark})  # 1: the scrollbar
        self.query_one("#summary", Static).update(self._summary(tracks), layout=False)
        self._show_details()

    def _show_details(self) -> None:
        with suppress(NoMatches):
            details = self.query_one(Details)
            if details.display:
                details.show(self.selected)

    @staticmethod
    def _key(track: Track) -> tuple[str, int]:
        return track.channel["name"], track.channel["policy_id"]

    @property
    def selected(self) -> Track | None:
        """The channel with the cursor."""
        current = self.query_one("#channels", LiveTable).current
        return next((track for track in self._shown if self._key(track) == current), None)

    def _summary(self, tracks: list[Track]) -> Text:
        if self._monitor.error is not None:
            return Text(printable(sentence(self._monitor.error)), style="bold red")
        alive = sum(track.channel["status"] == "live" for track in tracks)
        readers = sum(len(living(track.channel)) for track in tracks)
        count = f"{_count(len(tracks), 'channel')}, {alive} alive, {_count(readers, 'reader')}"
        if self._pattern:
            count = f"{len(self._shown)} of {count}, filter {printable(self._pattern)!r}"
        return Text.assemble(
            ("traincast top", "bold"), f"  {count}  {printable(' or '.join(self._monitor.directories))}"
        )

    def on_resize(self, event: events.Resize) -> None:
        """Lay out the screen again, without what has no room."""
        self.set_class(event.size.width < 100, "narrow")
        self.set_class(event.size.height < _ROOMY, "low")
        for table in self.query(LiveTable):
            table.forget_widths()
        self.call_after_refresh(self._show)

    @on(DataTable.RowHighlighted, "#channels")
    def _on_cursor(self) -> None:
        self._show_details()

    @on(DataTable.HeaderSelected, "#channels")
    def _on_title(self, event: DataTable.HeaderSelected) -> None:
        self._sort(self._order.of(str(event.column_key.value)))

    @on(Input.Changed, "#pattern")
    def _on_pattern(self, event: Input.Changed) -> None:
        self._pattern = event.value
        self._show()

    def action_filter(self) -> None:
        """Show the field for the filter."""
        pattern = self.query_one("#pattern")
        pattern.display = True
        pattern.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._sort(self._order.next())

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._sort(self._order.reversed())

    def _sort(self, order: Order) -> None:
        self._order = order
        self.query_one("#channels", LiveTable).begin_at_top()
        self._show()

    def action_zoom(self) -> None:
        """Show the selected channel on the whole screen, or the list again; in the filter, apply it."""
        pattern = self.query_one("#pattern")
        if pattern.has_focus:
            pattern.display = False
            self.query_one("#channels").focus()
            return
        self.toggle_class("zoomed")
        self.query_one("#values" if self.has_class("zoomed") else "#channels").focus()
        self.call_after_refresh(self._show)

    def action_leave(self) -> None:
        """Leave the details, or clear the filter."""
        pattern = self.query_one("#pattern", Input)
        if self.has_class("zoomed") and not pattern.has_focus:
            self.action_zoom()
            return
        pattern.display = False
        pattern.value = ""
        self.query_one("#channels").focus()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
