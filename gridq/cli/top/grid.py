"""A table that is shown again every second: only lines in sight are made, and only cells that differ are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.text import Text
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.widgets import DataTable

from gridq.cli.look import Column, Row

#: Cells between two columns, those that the scroll bar takes, and those for the mark behind a title.
_GAP, _SCROLL_BAR, _MARK = 2, 1, 1
#: How many lines are taken away one by one; each costs as much as there are lines.
_FEW = 20
_BLANK = Text()

Cells = tuple[Text, ...]


class Grid(DataTable[Text]):
    """Rows of plain types in columns that give way where the terminal is narrow.

    The lines of the table are places, not rows: what stands in a place is drawn again when it differs. So another order
    or a filter costs no more than the cells in sight that look different by it, also among a thousand GPUs.

    Args:
        name_of: what a row is known by; the cursor stays with it.
        id: the widget's.
    """

    BINDINGS = [Binding("home", "scroll_top", show=False), Binding("end", "scroll_bottom", show=False)]

    def __init__(self, name_of: Callable[[Row], str], id: str) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=1)
        self._name_of = name_of
        self._columns: Sequence[Column] = ()
        self._widths: list[int] = []
        self._fitted_to = 0
        self._drawn: dict[int, Cells] = {}
        self._dim = False
        #: What is listed, in this order.
        self.listed: Sequence[Row] = ()

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor; None in an empty table."""
        return self.listed[self.cursor_row] if 0 <= self.cursor_row < len(self.listed) else None

    def show(self, rows: Sequence[Row], columns: Sequence[Column], *, dim: bool) -> None:
        """Show these rows, in this order; dim those that are not of this moment."""
        chosen, at = self.chosen, self.cursor_row
        titles = [column.title for column in self._columns]
        self.listed, self._columns, self._dim = rows, columns, dim
        if self._room != self._fitted_to or titles != [column.title for column in columns]:
            self._lay_out()
        self._make_lines(len(rows))
        # In the first place stays who looks at the first; anywhere else the cursor goes with its row.
        if chosen is not None and at > 0:
            self._follow(self._name_of(chosen), at)
        self._draw_sight()

    def mark(self, title: str, mark: str) -> None:
        """Put a mark behind the title of this column, and of no other."""
        for column, shown in zip(self._columns, self.ordered_columns, strict=True):
            shown.label = _head(column, mark if column.title == title else "")
        self.refresh_lines(0, 1)

    @property
    def _room(self) -> int:
        return max(20, self.app.size.width) - _SCROLL_BAR

    def watch_scroll_y(self, before: float, now: float) -> None:
        """Other lines come in sight."""
        super().watch_scroll_y(before, now)
        self._draw_sight()

    def on_resize(self, event: Resize) -> None:
        """More lines may be in sight."""
        self._draw_sight()

    def _cells(self, rows: Iterable[Row]) -> list[Cells]:
        return [tuple(_text(column, row, dim=self._dim) for column in self._columns) for row in rows]

    def _lay_out(self) -> None:
        """Make the columns anew, wide enough for every row."""
        top, at = self.scroll_y, self.cursor_row
        self._fitted_to = self._room
        self._widths = fit(self._columns, self._cells(self.listed), self._fitted_to)
        self.clear(columns=True)
        self._drawn = {}
        for column, width in zip(self._columns, self._widths, strict=True):
            self.add_column(_head(column, ""), width=width, key=column.title)
        self._make_lines(len(self.listed))
        self.move_cursor(row=min(at, max(0, len(self.listed) - 1)), scroll=False)
        self.call_after_refresh(self.scroll_to, y=top, animate=False)

    def _make_lines(self, wanted: int) -> None:
        if self.row_count - wanted > _FEW:
            self.clear()
            self._drawn = {}
        for place in range(self.row_count, wanted):
            self.add_row(*(_BLANK for _ in self._columns), key=str(place))
        for place in reversed(range(wanted, self.row_count)):
            self.remove_row(str(place))
            self._drawn.pop(place, None)

    def _draw_sight(self) -> None:
        """Draw what is in sight, as far as it differs from what is there."""
        first = max(0, int(self.scroll_y))
        last = min(len(self.listed), self.row_count, first + max(1, self.size.height))
        cells = self._cells(self.listed[first:last])
        # Widths only grow, or every digit more or less would move all that stands to the right.
        if any(cell.cell_len > width for row in cells for cell, width in self._fixed(row)):
            self._lay_out()
        blank = tuple(_BLANK for _ in self._columns)
        for place, now in enumerate(cells, first):
            for at, (cell, then) in enumerate(zip(now, self._drawn.get(place, blank), strict=True)):
                if (cell.plain, cell.spans, cell.style) != (then.plain, then.spans, then.style):
                    self.update_cell_at(Coordinate(place, at), cell)
            self._drawn[place] = now

    def _fixed(self, row: Cells) -> list[tuple[Text, int]]:
        """The cells of columns that do not give, and how wide those are."""
        every = zip(self._columns, row, self._widths, strict=True)
        return [(cell, width) for column, cell, width in every if not column.gives]

    def _follow(self, name: str, at: int) -> None:
        place = next((place for place, row in enumerate(self.listed) if self._name_of(row) == name), None)
        if place is None:
            place = min(at, len(self.listed) - 1)
        if place >= 0 and place != self.cursor_row:
            self.move_cursor(row=place)


def fit(columns: Sequence[Column], cells: Sequence[Cells], room: int) -> list[int]:
    """How wide each column is: as wide as its cells, but for those that give; the last of these gets the rest."""
    least = [len(column.title) + _MARK for column in columns]
    natural = [max([width, *(row[at].cell_len for row in cells)]) for at, width in enumerate(least)]
    giving = [at for at, column in enumerate(columns) if column.gives]
    left = room - _GAP * len(columns) - sum(width for at, width in enumerate(natural) if at not in giving)
    for nth, at in enumerate(sorted(giving, key=lambda at: natural[at])):
        # Each its share, the short ones first: what they do not need is for the others.
        natural[at] = min(natural[at], max(least[at], left // (len(giving) - nth)))
        left -= natural[at]
    if giving:
        natural[giving[-1]] += max(0, left)
    return natural


def _head(column: Column, mark: str) -> Text:
    return Text(column.title + mark, justify="right" if column.right else "left", no_wrap=True)


def _text(column: Column, row: Row, *, dim: bool) -> Text:
    cell = column.cell(row)
    text = cell if isinstance(cell, Text) else Text(cell)
    # Colours of the terminal's own do not fade, so they go.
    text = Text(text.plain, style="dim") if dim else text
    text.no_wrap, text.overflow = True, "ellipsis"
    text.justify = "right" if column.right else "left"
    return text
