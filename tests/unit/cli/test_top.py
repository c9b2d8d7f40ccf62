"""`gridq top` on a terminal: what its keys do, at 80x24 and after a resize. The fleet is made up, no broker answers."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from made_up import cpu_worker, gpu, record, worker
from test_listings import shown
from textual.pilot import Pilot
from textual.widgets import Static

from gridq.cli.session import Session
from gridq.cli.tasks import task_rows
from gridq.cli.top import command, plain
from gridq.cli.top.app import Seen, Top
from gridq.cli.top.columns import gpu_columns
from gridq.cli.top.dialogs import Details, Question
from gridq.cli.top.feed import Feed
from gridq.cli.top.grid import Grid, fit
from gridq.cli.top.order import ORDERS, matching
from gridq.cli.top.picture import Picture
from gridq.errors import GridqError
from gridq.gpu.health import State, Verdict
from gridq.store.gpus import gpu_rows
from gridq.store.workers import WorkerStatus
from gridq.units import GIB

HOT = Verdict(State.UNHEALTHY, ("hot: 95°C",))
FLEET = [
    worker(0, "node1", score=2.0, running=("run-0",)),
    worker(1, "node1", score=1.0, gpus=(gpu(1, reading={"memory_used": 20 * GIB, "utilization": 0.9}),)),
    worker(0, "node2", score=0.5, gpus=(gpu(2, verdict=HOT),)),
    cpu_worker(),
]


def picture(living: list[WorkerStatus] = FLEET, view: str = "waiting") -> Picture:
    """A picture of these workers, of which the first runs a task, and for which two tasks wait."""
    times = {"submitted_at": 1000.0, "waiting_at": 1000.0, "started_at": 1001.0}
    running = task_rows(
        [record(id="run-0", name="shop.train", state="running", worker="gpu0@node1", times=times)], living, 1010.0
    )
    waiting = task_rows([record(id="wait-0"), record(id="wait-1", name="shop.evaluate")], living, 1010.0)
    gpus = [row | {"tasks": running if row["worker"] == "gpu0@node1" else []} for row in gpu_rows(living)]
    totals = {"waiting": 2, "running": 1}
    return Picture(
        gpus=gpus,
        tasks=waiting,
        view=view,
        totals=totals,
        workers=len(living),
        nodes=2,
        latency=0.001,
        # Of the near future, so that it is not old on a slow machine either.
        taken_at=time.monotonic() + 60,
    )


@pytest.fixture(autouse=True)
def nobody_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIDQ_RUNTIME_DIR", str(tmp_path))
    # Only the tests that want to be told that there is none look for one.
    monkeypatch.setattr(Feed, "start", lambda feed: None)


LOOKS_FOR_A_BROKER = Feed.start
Play = Callable[[Pilot[None], Top], Awaitable[None]]


def played(play: Play, first: Picture | None = None, size: tuple[int, int] = (80, 24)) -> None:
    """Play on a terminal of that size."""

    async def run() -> None:
        app = Top(Session("gridq"), first or picture())
        async with app.run_test(size=size) as pilot:
            await appears(pilot, lambda: bool(said(app, "head")) and is_drawn(app))
            await play(pilot, app)

    asyncio.run(run())


def grid(app: Top, name: str) -> Grid:
    """One of the two tables."""
    return app.screen_stack[0].query_one(f"#{name}", Grid)


def is_drawn(app: Top) -> bool:
    """Whether the GPUs in sight stand there: until the screen has been laid out, a single line is in sight."""
    height = grid(app, "gpus").size.height
    return height > 0 and all(firsts(app)[:height])


def lines(app: Top, name: str) -> list[list[str]]:
    """What a table shows, cell by cell."""
    table = grid(app, name)
    return [[cell.plain for cell in table.get_row_at(place)] for place in range(table.row_count)]


async def appears(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait until the screen shows it: on a busy machine keys take effect a moment after they are pressed."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        await pilot.pause(0.01)


def firsts(app: Top, name: str = "gpus") -> list[str]:
    """The first cell of each row."""
    return [row[0] for row in lines(app, name)]


def said(app: Top, name: str) -> str:
    """What a line of text says."""
    return str(app.screen_stack[0].query_one(f"#{name}", Static).content)


def test_the_whole_fleet_fits_a_terminal_of_80_by_24() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        assert firsts(app) == ["gpu0@node1", "gpu1@node1", "gpu0@node2"]
        table = grid(app, "gpus")
        assert table.virtual_size.width <= 80
        first, second, third = lines(app, "gpus")
        assert "6/24GiB" in first[1] and "train for 9s" in first[-1]
        assert "90%" in second and "–" in second
        assert "unhealthy" in third
        assert "gpu0@node1" in firsts(app)[0] and "2 tasks wait" in said(app, "tasks-title")
        assert [row[-1] for row in lines(app, "tasks")] == ["3 GPUs fit: 1 busy, 1 short of memory, 1 unhealthy"] * 2
        assert "1 running · 2 waiting" in said(app, "head")
        assert "3 GPUs on 2 nodes, 2 healthy, 1 unhealthy · by node ▲" in said(app, "gpus-title")

    played(play)


def test_a_wider_terminal_shows_more_and_a_narrower_one_less() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        narrow = len(grid(app, "gpus").columns)
        await pilot.resize_terminal(140, 40)
        await appears(pilot, lambda: len(grid(app, "gpus").columns) > narrow)
        await pilot.resize_terminal(60, 20)
        await appears(pilot, lambda: len(grid(app, "gpus").columns) < narrow)
        await appears(pilot, lambda: grid(app, "gpus").virtual_size.width <= 60)
        assert grid(app, "gpus").virtual_size.width <= 60
        assert grid(app, "tasks").size.height >= 3

    played(play)


def test_s_sorts_by_the_next_column_and_shift_s_the_other_way_round() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("s")
        await appears(pilot, lambda: "by memory ▼" in said(app, "gpus-title") and firsts(app)[0] == "gpu1@node1")
        assert "memory▼" in [column.label.plain for column in grid(app, "gpus").columns.values()]
        await pilot.press("S")
        await appears(pilot, lambda: "by memory ▲" in said(app, "gpus-title") and firsts(app)[-1] == "gpu1@node1")
        await pilot.press("s")
        await appears(pilot, lambda: "by utilisation ▼" in said(app, "gpus-title") and firsts(app)[0] == "gpu1@node1")

    played(play)


@pytest.mark.parametrize(
    ("name", "first"),
    [("node", "gpu0@node1"), ("memory", "gpu1@node1"), ("utilisation", "gpu1@node1"), ("verdict", "gpu0@node2"),
     ("score", "gpu0@node2")],
)  # fmt: skip
def test_gpus_are_sorted_with_what_matters_first_and_what_is_unknown_last(name: str, first: str) -> None:
    order = next(order for order in ORDERS if order.name == name)
    assert order.sort(picture().gpus)[0]["worker"] == first
    unknown = gpu_rows([worker(9, gpus=(gpu(9, reading={}),))])
    if name in ("memory", "utilisation"):
        for turned in (False, True):
            assert order.sort(picture().gpus + unknown, turned=turned)[-1]["worker"] == "gpu9@node1"


def test_the_cursor_stays_with_its_row_when_the_order_changes() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("down")
        assert grid(app, "gpus").chosen["worker"] == "gpu1@node1"  # type: ignore[index]
        await pilot.press("s")
        await appears(pilot, lambda: grid(app, "gpus").cursor_row == 0)
        assert grid(app, "gpus").chosen["worker"] == "gpu1@node1"  # type: ignore[index]

    played(play)


def test_a_filter_is_applied_as_it_is_typed_and_ends_with_escape() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("slash", *"node2")
        await appears(pilot, lambda: firsts(app) == ["gpu0@node2"] and "1 of 3 GPUs" in said(app, "gpus-title"))
        assert firsts(app, "tasks") == []
        await pilot.press("enter")
        assert app.focused is grid(app, "gpus") and firsts(app) == ["gpu0@node2"]
        await pilot.press("escape")
        await appears(pilot, lambda: len(firsts(app)) == 3 and len(firsts(app, "tasks")) == 2)
        # Letters that are keys elsewhere are letters here.
        await pilot.press("slash", *"quests")
        await appears(pilot, lambda: firsts(app) == [])
        assert app.is_running

    played(play)


def test_every_word_of_a_filter_must_be_found_also_in_what_runs_on_a_gpu() -> None:
    gpus = picture().gpus
    assert [row["worker"] for row in matching(gpus, "node1 TRAIN")] == ["gpu0@node1"]
    assert [row["worker"] for row in matching(gpus, "95°C")] == ["gpu0@node2"]
    assert matching(gpus, "train node2") == []


def test_a_picture_changes_only_the_cells_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[str] = []
    update = Grid.update_cell_at
    monkeypatch.setattr(
        Grid, "update_cell_at", lambda self, at, cell, **_: (changed.append(cell.plain), update(self, at, cell))[1]
    )

    async def play(pilot: Pilot[None], app: Top) -> None:
        await appears(pilot, lambda: all(firsts(app)) and all(firsts(app, "tasks")))
        changed.clear()
        app.post_message(Seen(picture()))
        await pilot.pause()
        assert changed == []
        now = list(FLEET)
        now[1] = worker(1, "node1", gpus=(gpu(1, reading={"memory_used": 20 * GIB, "utilization": 0.4}),))
        app.post_message(Seen(picture(now)))
        await appears(pilot, lambda: changed == ["40%"])

    played(play)


def test_gpus_that_come_and_go_keep_the_table_right() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        table = grid(app, "gpus")
        many = [worker(index % 8, f"node{index // 8}") for index in range(200)]
        for living in (many, many[:150], FLEET, many):
            app.post_message(Seen(picture(living)))
            names = [row["worker"] for row in ORDERS[0].sort(gpu_rows(living))]
            await appears(pilot, lambda names=names: [row["worker"] for row in table.listed] == names)
            assert table.row_count == len(names)
            assert firsts(app)[:5] == names[:5][: len(names)]
        await pilot.press("end")
        await appears(pilot, lambda: firsts(app)[-1] == grid(app, "gpus").listed[-1]["worker"])
        assert grid(app, "gpus").chosen["worker"] == ORDERS[0].sort(gpu_rows(many))[-1]["worker"]  # type: ignore[index]
        app.post_message(Seen(picture(FLEET)))
        await pilot.pause()
        assert grid(app, "gpus").chosen is not None

    played(play)


@pytest.mark.parametrize("key", ["n", "escape", "enter"])
def test_a_question_is_asked_before_anything_is_done_and_the_harmless_answer_is_at_hand(key: str) -> None:
    done: list[str] = []

    async def play(pilot: Pilot[None], app: Top) -> None:
        app._do = lambda work, then: done.append("done")  # type: ignore[method-assign, assignment]
        for asked in ("c", "d", "D"):
            await pilot.press(asked)
            await appears(pilot, lambda: isinstance(app.screen, Question))
            await pilot.press(key)
            await appears(pilot, lambda: not isinstance(app.screen, Question))
            assert done == []
        await pilot.press("d", "y")
        await appears(pilot, lambda: done == ["done"])

    played(play)


def test_there_is_nothing_to_cancel_on_an_idle_gpu_and_no_worker_to_drain_on_a_task() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("down", "c")
        assert not isinstance(app.screen, Question)
        await pilot.press("tab", "d")
        assert not isinstance(app.screen, Question)
        await pilot.press("c")
        await appears(pilot, lambda: isinstance(app.screen, Question))

    played(play)


def test_without_a_broker_a_banner_says_so_and_the_last_picture_is_dimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "start", LOOKS_FOR_A_BROKER)

    async def play(pilot: Pilot[None], app: Top) -> None:
        await appears(pilot, lambda: app.screen.has_class("stale"))
        await appears(pilot, lambda: "expected a broker" in said(app, "banner"))
        assert "no news for" in said(app, "banner")
        assert firsts(app) and all(cell.style == "dim" for cell in grid(app, "gpus").get_row_at(0))
        # It is still a screen that one can use.
        await pilot.press("s")
        await appears(pilot, lambda: "by memory" in said(app, "gpus-title"))
        # Else it may say again that there is no broker before the screen was looked at.
        app._feed.stop()
        app.post_message(Seen(picture()))
        await appears(pilot, lambda: not app.screen.has_class("stale"))
        assert grid(app, "gpus").get_row_at(0)[0].style != "dim"

    played(play)


def test_the_keys_are_told_in_the_footer_and_all_of_them_by_a_question_mark() -> None:
    async def play(pilot: Pilot[None], app: Top) -> None:
        await pilot.press("question_mark")
        await appears(pilot, lambda: isinstance(app.screen, Details))
        await pilot.press("q")
        await appears(pilot, lambda: not isinstance(app.screen, Details))
        await pilot.press("q")
        await appears(pilot, lambda: not app.is_running)

    played(play)


def test_columns_are_as_wide_as_their_cells_but_for_those_that_give() -> None:
    columns = gpu_columns(80)
    rows = picture().gpus
    cells = [tuple(_as_text(column.cell(row)) for column in columns) for row in rows]
    for room in (60, 79, 200):
        laid = fit(columns, cells, room)
        assert sum(width + 2 for width in laid) <= room
        assert laid[[column.title for column in columns].index("memory")] == len("██████ 20/24GiB")


def _as_text(cell: Any) -> Any:
    from rich.text import Text

    return cell if isinstance(cell, Text) else Text(cell)


def test_without_a_terminal_there_is_one_look_at_gpus_and_at_what_waits() -> None:
    text = shown(plain.render(picture(), 200), 200)
    assert "gpu1" in text and "3 GPUs fit" in text and "hot: 95°C" in text
    assert max(map(len, shown(plain.render(picture(), 80), 80).splitlines())) <= 80


def test_without_textual_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gridq.cli.top.app")
    monkeypatch.setitem(sys.modules, "textual.app", None)
    with pytest.raises(GridqError) as caught:
        command.watch(Session("gridq"), picture())
    assert "pip install 'gridq[monitor]'" in str(caught.value)
