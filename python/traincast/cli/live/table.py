"""A table that is updated in place: what did not change is not drawn again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rich.text import Text
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from traincast.cli._tables import Column, fit
from traincast.cli._text import shorten, shorten_middle

__all__ = ["LiveTable"]


class LiveTable(DataTable[Text]):
    """Shows rows that have keys; the cursor stays on its key while rows move, come and go."""

    def __init__(self, columns: Sequence[Column], id: str, cursor: bool) -> None:
        super().__init__(
            id=id,
            cursor_type="row" if cursor else "none",
            show_cursor=cursor,
            zebra_stripes=False,
            cell_padding=1,
        )
        self._all = columns
        self._needed = [0] * len(columns)
        self._shown: dict[int, int] = {}
        self._titles: list[str] = []
        self._keys: list[Hashable] = []
        self._cells: list[list[Text]] = []
        self._drawn: list[list[Text]] = []
        self._from_top = False

    @property
    def current(self) -> Hashable | None:
        """The key of the row with the cursor."""
        return self._keys[self.cursor_row] if 0 <= self.cursor_row < len(self._keys) else None

    def begin_at_top(self) -> None:
        """Put the cursor on the first row when rows are shown in another order."""
        self._from_top = True

    def forget_widths(self) -> None:
        """Let columns become narrower again: for a terminal of another size, or other rows."""
        self._needed = [0] * len(self._all)

    def show(
        self, rows: Sequence[tuple[Hashable, Sequence[Text]]], room: int, marks: dict[str, str] | None = None
    ) -> None:
        """Show these rows and no others.

        Args:
            rows: the key and the cells of each, for all columns.
            room: columns of the terminal that the table may take.
            marks: the mark to show after a title.
        """
        titles = [f"{column.title}{(marks or {}).get(column.title, '')}" for column in self._all]
        for i, name in enumerate(titles):  # columns grow but do not shrink, or the table would keep jumping
            self._needed[i] = max(self._needed[i], len(name), *(row[i].cell_len for _, row in rows), 0)
        shown = fit(self._all, self._needed, room - 2 * self.cell_padding)
        cells = [[self._cell(row[i], i, width) for i, width in shown.items()] for _, row in rows]
        keys = [key for key, _ in rows]
        if shown != self._shown or titles != self._titles:
            self._shown, self._titles = shown, titles
            place = self._place(keys)
            self.clear(columns=True)
            for i, width in shown.items():
                self.add_column(self._cell(Text(titles[i]), i, width), width=width, key=self._all[i].title)
            self._fill(keys, cells, place)
        elif keys != self._keys:
            place = self._place(keys)
            self.clear()
            self._fill(keys, cells, place)
        else:
            self._cells = cells
            self._update_visible()

    def _place(self, keys: list[Hashable]) -> tuple[int, int]:
        """Return the row for the cursor among the new keys, and how far the table is scrolled."""
        if self._from_top:
            self._from_top = False
            return 0, 0
        current = self.current
        row = keys.index(current) if current in keys else min(self.cursor_row, len(keys) - 1)
        return max(row, 0), self.scroll_offset.y

    def _fill(self, keys: list[Hashable], cells: list[list[Text]], place: tuple[int, int]) -> None:
        for line in cells:
            self.add_row(*line)
        self._keys = keys
        self._cells, self._drawn = cells, list(cells)
        row, top = place
        self.move_cursor(row=row, scroll=False)
        self.scroll_to(y=top, animate=False)

    def _update_visible(self) -> None:
        """Draw the cells that have changed; those out of sight wait until they are scrolled to."""
        top = self.scroll_offset.y
        for y in range(top, min(top + self.size.height, len(self._cells))):
            before, now = self._drawn[y], self._cells[y]
            for x, cell in enumerate(now):
                if cell != before[x] or cell.style != before[x].style:
                    self.update_cell_at(Coordinate(y, x), cell)
            self._drawn[y] = now

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw the cells that come into sight, if they have changed."""
        super().watch_scroll_y(old_value, new_value)
        self._update_visible()

    def _cell(self, cell: Text, i: int, width: int) -> Text:
        column = self._all[i]
        if cell.cell_len > width:
            cut = shorten if column.keeps_start else shorten_middle
            cell = Text(cut(cell.plain, width), style=cell.style)
        if column.right:
            cell.pad_left(width - cell.cell_len)
        return cell
