"""A table that is shown again every second and draws only the cells that have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.text import Text
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from gridq.cli.look import Column, Row

#: Cells between two columns, and those that the scroll bar takes.
_GAP, _SCROLL_BAR = 2, 1
#: How many rows are taken away one by one; each costs as much as there are rows.
_FEW = 20

Cells = tuple[Text, ...]


class Grid(DataTable[Text]):
    """Rows of plain types in columns that give way where the terminal is narrow.

    The lines of the table are places, not rows: what stands in a place is drawn again when it differs. So another order
    or a filter costs no more than the cells that look different by it.

    Args:
        name_of: what a row is known by; the cursor stays with it.
        id: the widget's.
    """

    BINDINGS = [Binding("home", "scroll_top", show=False), Binding("end", "scroll_bottom", show=False)]

    def __init__(self, name_of: Callable[[Row], str], id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=1)
        self._name_of = name_of
        self._rows: list[Row] = []
        self._cells: list[Cells] = []
        self._layout_now: list[tuple[str, int]] = []

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor; None in an empty table."""
        return self._rows[self.cursor_row] if 0 <= self.cursor_row < len(self._rows) else None

    def show(self, rows: Sequence[Row], columns: Sequence[Column]) -> None:
        """Show these rows, in this order."""
        chosen, at = self.chosen, self.cursor_row
        cells = [tuple(_text(column, row) for column in columns) for row in rows]
        layout = fit(columns, cells, self._room)
        # Widths only grow, or every digit more or less would move all that stands to the right.
        if [title for title, _ in layout] != [title for title, _ in self._layout_now] or any(
            wanted > width for (_, wanted), (_, width) in zip(layout, self._layout_now, strict=True)
        ):
            self._lay_out(columns, layout)
        self._write(cells)
        self._rows = list(rows)
        # In the first place stays who looks at the first; anywhere else the cursor goes with its row.
        if chosen is not None and at > 0:
            self._follow(self._name_of(chosen), at)

    def forget_widths(self) -> None:
        """Let the next rows decide how wide the columns are: the terminal has another width."""
        self._layout_now = []

    @property
    def _room(self) -> int:
        return max(20, self.app.size.width) - _SCROLL_BAR

    def _lay_out(self, columns: Sequence[Column], layout: list[tuple[str, int]]) -> None:
        top = self.scroll_y
        self.clear(columns=True)
        for column, (title, width) in zip(columns, layout, strict=True):
            head = Text(title, justify="right" if column.right else "left", no_wrap=True)
            self.add_column(head, width=width, key=column.title)
        self._cells, self._layout_now = [], layout
        self.call_after_refresh(self.scroll_to, y=top, animate=False)

    def _write(self, cells: list[Cells]) -> None:
        before = self._cells
        if len(before) - len(cells) > _FEW:
            self.clear()
            before = []
        for place, (now, then) in enumerate(zip(cells, before, strict=False)):
            for at, (cell, drawn) in enumerate(zip(now, then, strict=True)):
                if cell.plain != drawn.plain or cell.spans != drawn.spans or cell.style != drawn.style:
                    self.update_cell_at(Coordinate(place, at), cell)
        for place in range(len(before), len(cells)):
            self.add_row(*cells[place], key=str(place))
        for place in range(len(cells), len(before)):
            self.remove_row(str(place))
        self._cells = cells

    def _follow(self, name: str, at: int) -> None:
        place = next((place for place, row in enumerate(self._rows) if self._name_of(row) == name), None)
        if place is None:
            place = min(at, len(self._rows) - 1)
        if place >= 0 and place != self.cursor_row:
            self.move_cursor(row=place)


def fit(columns: Sequence[Column], cells: Sequence[Cells], room: int) -> list[tuple[str, int]]:
    """The title and width of each column: as wide as its cells, but for those that give; the last gets the rest."""
    natural = [
        max([_length(column.title), *(cell[at].cell_len for cell in cells)]) for at, column in enumerate(columns)
    ]
    giving = [at for at, column in enumerate(columns) if column.gives]
    left = room - _GAP * len(columns) - sum(width for at, width in enumerate(natural) if at not in giving)
    for nth, at in enumerate(sorted(giving, key=lambda at: natural[at])):
        # Each its share, the short ones first: what they do not need is for the others.
        share = max(_length(columns[at].title), left // (len(giving) - nth))
        natural[at] = min(natural[at], share)
        left -= natural[at]
    if giving:
        natural[giving[-1]] += max(0, left)
    return [(column.title, width) for column, width in zip(columns, natural, strict=True)]


def titled(columns: Sequence[Column], title: str, mark: str) -> list[Column]:
    """The columns, the one of that title with a mark behind it."""
    return [replace(one, title=f"{title} {mark}") if one.title == title else one for one in columns]


def _text(column: Column, row: Row) -> Text:
    cell = column.cell(row)
    text = cell if isinstance(cell, Text) else Text(cell)
    text.no_wrap, text.overflow = True, "ellipsis"
    text.justify = "right" if column.right else "left"
    return text


def _length(title: str) -> int:
    return Text(title).cell_len
