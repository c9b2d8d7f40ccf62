"""What comes over the tables: a question, all of a task, the keys."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

KEYS = (
    ("↑ ↓ PgUp PgDn", "select a GPU or a task; Tab goes to the other table"),
    ("Enter", "all of the task, or of the GPU and what runs there"),
    ("t", "list the tasks that wait, that run, that have ended"),
    ("s  S", "sort the GPUs by the next column; the other way round. A click on a column's head does the same"),
    ("/", "show only rows with these words; Enter keeps them, Esc shows all again"),
    ("c", "cancel the task, or what runs on the GPU; asks first"),
    ("d  D", "drain the GPU's worker; all of its node. Once more: undrain. Asks first"),
    ("q", "quit"),
)


class Question(ModalScreen[bool]):
    """Asks before something is done.

    Args:
        question: one sentence.
        lines: what it is about, in more words.
    """

    BINDINGS = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
        Binding("left,right", "app.focus_next", "other", show=False),
    ]

    def __init__(self, question: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._question, self._lines = question, lines

    def compose(self) -> ComposeResult:
        """The question, and two buttons of which the harmless one has the focus."""
        with Vertical(id="dialog") as box:
            box.border_subtitle = "y yes · n or Esc no"
            yield Static(Text(self._question, style="bold"))
            yield Static(Text("\n".join(self._lines)))
            with Horizontal(id="answers"):
                yield Button("[u]N[/u]o", id="no", compact=True)
                yield Button("[u]Y[/u]es", id="yes", compact=True, variant="error")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """A button was pressed."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """A key was pressed."""
        self.dismiss(yes)


class Details(ModalScreen[None]):
    """Something long to read.

    Args:
        content: it, or what stands there until it comes.
    """

    BINDINGS = [Binding("escape,q,enter", "dismiss", "close")]

    def __init__(self, title: str, content: RenderableType) -> None:
        super().__init__()
        self._title, self._content = title, content

    def compose(self) -> ComposeResult:
        """A box that scrolls."""
        with VerticalScroll(id="details") as box:
            box.border_title = self._title
            box.border_subtitle = "↑ ↓ scroll · Esc closes"
            yield Static(self._content, id="content")

    def tell(self, content: RenderableType) -> None:
        """Show this instead."""
        self.query_one("#content", Static).update(content)


def keys() -> RenderableType:
    """What each key does."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for key, meaning in KEYS:
        grid.add_row(key, meaning)
    return grid
