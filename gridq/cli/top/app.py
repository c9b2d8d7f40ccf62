"""`gridq top` on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, Static

from gridq.cli.look import Row
from gridq.cli.session import Session
from gridq.cli.tasks import summary
from gridq.cli.top import acts
from gridq.cli.top.columns import gpu_columns, task_columns
from gridq.cli.top.dialogs import Details, Question, keys
from gridq.cli.top.feed import Feed
from gridq.cli.top.grid import Grid
from gridq.cli.top.order import ORDERS, matching
from gridq.cli.top.picture import VIEWS, Picture
from gridq.config import mask
from gridq.errors import GridqError
from gridq.units import format_seconds


class Seen(Message):
    """The feed has a picture."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture


class Missed(Message):
    """The feed has none, since the broker is away."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class Top(App[None]):
    """The whole fleet, live.

    Args:
        session: what commands stand on.
        first: what is shown at once.
    """

    CSS_PATH = "top.tcss"
    TITLE = "gridq top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("q,ctrl+c", "quit", "quit", key_display="q", priority=False),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("s", "sort", "sort"),
        Binding("S", "turn", "turn", show=False),
        Binding("t", "view", "tasks"),
        Binding("c", "cancel", "cancel"),
        Binding("d", "drain('worker')", "drain"),
        Binding("D", "drain('node')", "drain node", show=False),
        Binding("question_mark", "keys", "help", key_display="?"),
    ]

    def __init__(self, session: Session, first: Picture) -> None:
        super().__init__()
        self._session, self._picture = session, first
        self._view, self._order, self._turned = first.view, ORDERS[0], False
        self._words, self._away, self._stale = "", "", False
        self._feed = Feed(
            session.store, lambda picture: self.post_message(Seen(picture)), lambda why: self.post_message(Missed(why))
        )

    def compose(self) -> ComposeResult:
        """From the top to the bottom."""
        yield Static(id="head")
        yield Static(id="banner")
        yield Static(id="gpus-title", classes="title")
        yield Grid(lambda row: f"{row['worker']} {row['uuid']}", id="gpus")
        yield Static(id="tasks-title", classes="title")
        yield Grid(lambda row: str(row["id"]), id="tasks")
        yield Input(placeholder="words that a row must have; Enter keeps them, Esc shows all", id="filter")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """All is there: begin."""
        self.query_one("#gpus").focus()
        self._feed.start()
        self.set_interval(1.0, self._tell_age)

    def on_unmount(self) -> None:
        """The end."""
        self._feed.stop()

    # -- what comes

    def on_seen(self, seen: Seen) -> None:
        """There is a new picture."""
        self._picture, self._away = seen.picture, ""
        self._tell_age()
        # One of another view was on its way when the view changed; the next is there in a moment.
        if self._is_built and seen.picture.view == self._view:
            self._draw()

    def on_missed(self, missed: Missed) -> None:
        """The broker is away."""
        self._away = missed.why
        self._tell_age()

    @property
    def _is_built(self) -> bool:
        """Whether there is anything to draw on: news may come while it ends, when that has been taken down."""
        return bool(self.screen_stack and self.screen_stack[0].query("#banner"))

    def on_resize(self, event: Resize) -> None:
        """The terminal has another size."""
        self.call_after_refresh(self._draw)

    def _tell_age(self) -> None:
        if not self._is_built:
            return
        age = time.monotonic() - self._picture.taken_at
        before, self._stale = self._stale, bool(self._away) or age > acts.STALE
        banner = self.screen_stack[0].query_one("#banner", Static)
        if self._stale:
            why = self._away or "the broker has not answered yet"
            banner.update(
                Text(f"! no news for {format_seconds(max(1, round(age)))}, trying again: {why}", no_wrap=True)
            )
        self.screen_stack[0].set_class(self._stale, "stale")
        if self._stale != before:
            self._draw()

    # -- what is shown

    def _draw(self) -> None:
        screen, picture, width = self.screen_stack[0], self._picture, self.size.width
        gpus = self._order.sort(matching(picture.gpus, self._words), turned=self._turned)
        tasks = matching(picture.tasks, self._words)
        arrow = self._order.arrow(turned=self._turned)
        screen.query_one("#gpus", Grid).show(gpus, gpu_columns(width), dim=self._stale)
        screen.query_one("#gpus", Grid).mark(self._order.title, arrow)
        screen.query_one("#tasks", Grid).show(tasks, task_columns(picture.view, width), dim=self._stale)
        where = f"{mask(self._session.broker_url or '')} {picture.latency * 1000:.0f}ms"
        _, there = picture.shown_of
        shown, there_are = _of(len(gpus), len(picture.gpus)), _of(len(tasks), there)
        for name, left, right in (
            ("head", f"gridq top  {summary(picture.totals)}", where),
            ("gpus-title", f"{shown} GPUs {picture.fleet()} · by {self._order.name} {arrow}{self._filtered}", ""),
            ("tasks-title", f"{there_are} {_VIEWS[picture.view]}{self._filtered}", ""),
        ):
            screen.query_one(f"#{name}", Static).update(_line(left, right, width))

    @property
    def _filtered(self) -> str:
        return f" · with {self._words!r}" if self._words else ""

    # -- keys

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._order, self._turned = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)], False
        self._draw()

    def action_turn(self) -> None:
        """Sort the other way round."""
        self._turned = not self._turned
        self._draw()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a column's head."""
        title = event.column_key.value
        order = next((order for order in ORDERS if order.title == title), None)
        if event.data_table.id == "gpus" and order is not None:
            self._turned = not self._turned if order is self._order else False
            self._order = order
            self._draw()

    def action_view(self) -> None:
        """List the tasks of the next view."""
        views = list(VIEWS)
        self._view = views[(views.index(self._view) + 1) % len(views)]
        self._feed.look_now(self._view)

    def action_filter(self) -> None:
        """Type words."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """A letter more, or less."""
        self._words = event.value
        self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The words stay."""
        self._leave_filter()

    def key_escape(self) -> None:
        """Show all again."""
        self.query_one("#filter", Input).value = ""
        self._leave_filter()

    def _leave_filter(self) -> None:
        self.query_one("#filter", Input).display = False
        self.query_one("#gpus").focus()

    def action_keys(self) -> None:
        """Help."""
        self.push_screen(Details("keys", keys()))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click, on a row."""
        row = self._chosen()
        if row is None:
            return
        details = Details(row.get("name") or row["worker"], "asking the broker …")
        self.push_screen(details)
        self._do(lambda: acts.details(self._session, row), details.tell)

    def action_cancel(self) -> None:
        """End tasks, after a question."""
        row = self._chosen()
        tasks = [] if row is None else row.get("tasks", [row])
        tasks = [task for task in tasks if task["state"] in acts.UNENDED]
        if not tasks:
            self.notify("nothing to cancel there", severity="warning")
            return
        question, lines = acts.question_of_cancel(tasks)
        self._ask(question, lines, lambda: acts.cancel(self._session, [task["id"] for task in tasks]))

    def action_drain(self, what: str) -> None:
        """Drain, or undrain, after a question."""
        row = self._chosen()
        if row is None or "uuid" not in row:
            self.notify("select a GPU to drain its worker, or its node", severity="warning")
            return
        name = row[what]
        if row["draining"]:
            self._ask(f"Let {name} take tasks again?", [], lambda: acts.undrain(self._session, name))
            return
        lines = ["What runs there ends first; it takes nothing new until somebody undrains it."]
        self._ask(f"Drain {name}?", lines, lambda: acts.drain(self._session, name))

    def _chosen(self) -> Row | None:
        grid = self.focused if isinstance(self.focused, Grid) else self.query_one("#gpus", Grid)
        return grid.chosen

    # -- what takes its time

    def _ask(self, question: str, lines: list[str], then: Callable[[], str]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._do(then, self._told)

        self.push_screen(Question(question, lines), answered)

    def _told(self, what: RenderableType) -> None:
        self.notify(str(what), markup=False)
        self._feed.look_now(self._view)

    def _do(self, work: Callable[[], RenderableType], then: Callable[[RenderableType], object]) -> None:
        """Work in a thread of its own, then show what came of it; an error is shown as one."""

        def run() -> None:
            try:
                answer = work()
            except GridqError as error:
                wrong = str(error)
                self._later(lambda: self.notify(wrong, severity="error", markup=False))
                return
            self._later(lambda: then(answer))

        threading.Thread(target=run, name="gridq-top-work", daemon=True).start()

    def _later(self, what: Callable[[], object]) -> None:
        # Whoever quits meanwhile leaves nobody to tell.
        if self.is_running:
            self.call_from_thread(what)


_VIEWS = {"waiting": "tasks wait", "running": "tasks run", "ended": "tasks have ended"}


def _of(shown: int, there: int) -> str:
    return f"{there:,}" if shown == there else f"{shown:,} of {there:,}"


def _line(left: str, right: str, width: int) -> Text:
    """Both ends of a line; the right one only where it fits."""
    room = width - len(left) - 2
    return Text(left + (right.rjust(room) if len(right) + 1 < room else ""), no_wrap=True, overflow="ellipsis")
