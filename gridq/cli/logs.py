"""`gridq logs ID`: what a task prints, while it runs and after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from gridq.cli.ids import record_of
from gridq.cli.logs_view import JsonView, TextView, last_lines
from gridq.cli.look import console
from gridq.cli.session import Session, pass_session

if TYPE_CHECKING:
    from gridq.store.client import Client
    from gridq.store.output import Printed
    from gridq.store.tasks import TaskRecord

#: Seconds for which new output is awaited before the task itself is looked at again.
_LOOK = 0.5
#: Seconds after a task's end in which its last words may still be on their way.
_LATE = 1.5
_UNBEGUN = ("waiting", "placed", "delayed")


@click.command(name="logs", epilog="Example:  gridq logs -f 5f3c8a1b-3c7e-4b52-9a1e-0d6f1c2b3a4d")
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the task has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Begin with the last N lines of what there is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line for each part; times in seconds.")
@pass_session
def command(session: Session, task_id: str, follow: bool, tail: int | None, as_json: bool) -> None:
    """What a task printed, the latest of it up to the setting output_limit."""
    with session.store() as client:
        record = record_of(client, task_id, session.settings.records_ttl)
        reader = Reader(client, record.id)
        view = JsonView() if as_json else TextView(cut=reader.cut() if tail is None else 0)
        if follow and record.state in _UNBEGUN:
            _say(f"it is {record.state}; gridq explain {record.id} says why")
        first = list(reader.kept())
        view.show(first if tail is None else last_lines(first, tail))
        for printed in reader.more(follow=follow):
            view.show([printed])
        view.end()
        if not reader.found_text:
            _say(why_nothing(reader.record() or record, session.settings.output_limit))


class Reader:
    """Reads what one task prints, each part once."""

    def __init__(self, client: Client, task_id: str) -> None:
        from gridq.store import output

        self._client = client
        self._id = task_id
        self._output = output
        self._after = output.BEGINNING
        #: The last attempt that is known to print no more.
        self._ended = 0
        #: Whether anything was printed at all.
        self.found_text = False

    def record(self) -> TaskRecord | None:
        """The task's record as of now."""
        from gridq.store import tasks

        return tasks.find(self._client, self._id)

    def cut(self) -> int:
        """How many bytes of the beginning are not kept."""
        return self._output.cut(self._client, self._id)

    def kept(self) -> Iterator[Printed]:
        """What is there and was not read yet."""
        for printed in self._output.read(self._client, self._id, self._after):
            self._after = printed.id
            self._ended = printed.attempt if printed.part.ends else self._ended
            self.found_text = self.found_text or bool(printed.part.text)
            yield printed

    def more(self, *, follow: bool) -> Iterator[Printed]:
        """What comes from now on: until the task has ended if it is followed, and its last words in any case."""
        while not self._is_complete(follow):
            self._output.await_more(self._client, self._id, self._after, _LOOK)
            yield from self.kept()
        yield from self.kept()

    def _is_complete(self, follow: bool) -> bool:
        record = self.record()
        if record is None:
            return True
        if record.state in (*_UNBEGUN, "running"):
            return not follow
        ended_at = record.times.get("finished_at", 0.0)
        return self._ended >= record.attempts or self._client.now() - ended_at > _LATE


def why_nothing(record: TaskRecord, limit: int) -> str:
    """Why there is no output of a task, in one sentence."""
    if not record.attempts:
        return f"it is {record.state}, and has not begun"
    kept = "" if limit else "; output_limit is 0 here, so nothing would be kept"
    return f"it is {record.state}, and has printed nothing that is kept{kept}"


def _say(text: str) -> None:
    console(stderr=True).print(text, style="dim")
