"""From what a task asks for to its queue; without a broker."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gridq.broker.posting import DECISION, HEADER
from gridq.broker.router import Router, parents_priority, queue_named
from gridq.config import Settings
from gridq.errors import NeedError, UnmetNeedError, UnmetNeedWarning
from gridq.needs import Needs
from gridq.placement.decision import Snapshot
from gridq.store.workers import WorkerStatus
from gridq.units import GIB

EMBED = SimpleNamespace(needs=Needs.of(vram="8GiB"))
SEND = SimpleNamespace(needs=Needs())


class OneLook:
    """A fleet that does not change."""

    def __init__(self, *workers: WorkerStatus, known: bool = True) -> None:
        seats = tuple(worker.seat for worker in workers if worker.seat) if known else None
        self.taken = Snapshot(workers, seats, 0.0)

    def snapshot(self) -> Snapshot:
        return self.taken


@pytest.fixture
def route(make_worker: Callable[..., WorkerStatus]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Routes a call; returns the route, and the options as Celery goes on with them."""

    def call(task: Any = EMBED, /, *, fleet: Any = None, impossible: str = "wait", **options: Any) -> Any:
        fleet = fleet or OneLook(make_worker("gpu0@node1", 24), make_worker("gpu1@node1", 80))
        router = Router(Settings(impossible_needs=impossible), fleet)
        return router("shop.embed", (), {}, options, task), options

    return call


Route = Callable[..., tuple[Any, dict[str, Any]]]


def test_a_gpu_task_goes_to_the_queue_of_its_class_with_a_decision(route: Route) -> None:
    found, options = route()
    assert found["queue"].name == "gpu.8g"
    assert found[DECISION].decision.candidates == ("gpu0@node1", "gpu1@node1")
    assert options["headers"] == {HEADER: {"gpu": True, "vram": 8 * GIB}}


def test_words_of_the_call_override_those_of_the_task_and_are_taken_out(route: Route) -> None:
    found, options = route(vram="40GiB", node="node1", models=["A10G"], countdown=3)
    assert found["queue"].name == "gpu.40g:a10g@node1"
    assert found[DECISION].decision.candidates == ("gpu1@node1",)
    assert options.keys() == {"headers", "countdown", "priority"}


@pytest.mark.parametrize("task", [SEND, SimpleNamespace(), None])
def test_a_task_without_needs_is_left_to_celery(route: Route, task: Any) -> None:
    found, options = route(task)
    assert found is None and options == {"priority": 3}


def test_a_task_that_is_no_gpu_task_can_be_called_with_needs(route: Route) -> None:
    assert route(None, gpus=1)[0]["queue"].name == "gpu"


def test_a_cpu_task_of_one_node_goes_to_that_nodes_queue_without_a_decision(route: Route) -> None:
    found, _ = route(SEND, node="node1")
    assert found == {"queue": queue_named("cpu@node1")}


def test_a_gpu_task_called_with_gpu_false_is_a_cpu_task(route: Route) -> None:
    assert route(gpu=False)[0] is None


def test_an_almost_right_option_is_refused_with_what_was_meant(route: Route) -> None:
    with pytest.raises(NeedError, match=r"unknown option 'vrma' of shop.embed\nhint: did you mean 'vram'\?"):
        route(vrma="8GiB")


def test_a_wrong_need_is_refused(route: Route) -> None:
    with pytest.raises(NeedError, match="vram"):
        route(vram="a lot")


@pytest.mark.parametrize(("said", "number"), [("high", 0), ("normal", 3), ("low", 6), (9, 9), (None, 3)])
def test_a_priority_is_a_name_or_a_number(route: Route, said: Any, number: int) -> None:
    assert route(priority=said)[1]["priority"] == number
    assert route(SEND, priority=said)[1]["priority"] == number


def test_a_wrong_priority_is_refused(route: Route) -> None:
    with pytest.raises(NeedError, match="high, normal, low"):
        route(priority="urgent")


def test_headers_of_the_caller_are_kept_and_not_changed_in_place(route: Route) -> None:
    mine = {"trace": "abc"}
    assert route(headers=mine)[1]["headers"].keys() == {"trace", HEADER}
    assert mine == {"trace": "abc"}


def test_a_retry_is_placed_anew_with_the_needs_of_its_message(route: Route) -> None:
    headers = {HEADER: {"gpu": True, "vram": 40 * GIB}}
    found, options = route(headers=headers, queue="gpu.40g")
    assert found["queue"].name == "gpu.40g"
    assert found[DECISION].decision.candidates == ("gpu1@node1",)
    assert "queue" not in options


def test_a_retry_can_ask_for_more(route: Route) -> None:
    found, options = route(headers={HEADER: {"gpu": True, "vram": 8 * GIB}}, queue="gpu.8g", vram="40GiB")
    assert found["queue"].name == "gpu.40g"
    assert options["headers"][HEADER]["vram"] == 40 * GIB


@pytest.mark.parametrize("options", [{"queue": "gpu0@node1"}, {"queue": queue_named("other")}, {"exchange": "mine"}])
def test_a_queue_that_the_caller_chose_is_kept_and_the_needs_travel_along(route: Route, options: Any) -> None:
    found, left = route(**options)
    assert found is None
    assert options.items() <= left.items()
    assert left["headers"][HEADER]["vram"] == 8 * GIB


def test_what_no_gpu_can_run_waits_with_a_warning(route: Route) -> None:
    with pytest.warns(
        UnmetNeedWarning, match=r"shop.embed asks for gpu vram=100GiB.*it waits for a GPU that fits"
    ) as told:
        found, _ = route(vram="100GiB")
    assert found["queue"].name == "gpu.128g"
    assert told[0].filename == __file__


def test_what_no_gpu_can_run_is_refused_where_the_settings_say_so(route: Route) -> None:
    with pytest.raises(UnmetNeedError, match="the fleet has only"):
        route(vram="100GiB", impossible="refuse")
    assert route(vram="80GiB", impossible="refuse")[0]["queue"].name == "gpu.80g"


def test_a_fleet_that_could_not_be_read_makes_nothing_impossible(route: Route) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = route(vram="100GiB", impossible="refuse", fleet=OneLook(known=False))
    assert found[DECISION].decision.candidates == ()


@pytest.mark.parametrize("stamp", ["node", "vram", "vrma", "priority"])
def test_a_stamp_is_the_callers_own_word_and_left_alone(route: Route, stamp: str) -> None:
    found, options = route(**{stamp: "anything at all", "stamped_headers": [stamp]})
    assert found["queue"].name == "gpu.8g"
    assert options[stamp] == "anything at all"


@pytest.mark.parametrize(("said", "got"), [(None, 0), ("low", 6)])
def test_a_priority_that_is_inherited_stands_unless_the_call_says_one(said: Any, got: int) -> None:
    options = {"priority": said}
    Router(Settings(), OneLook(), lambda: 0)("shop.send", (), {}, options, SEND)
    assert options["priority"] == got


def test_the_priority_of_the_task_that_publishes_is_inherited_where_the_app_says_so() -> None:
    parent = SimpleNamespace(request=SimpleNamespace(delivery_info={"priority": 0}))
    app = SimpleNamespace(conf=SimpleNamespace(task_inherit_parent_priority=True), current_worker_task=parent)
    assert parents_priority(app) == 0
    parent.request.delivery_info = None
    assert parents_priority(app) is None
    app.current_worker_task = None
    assert parents_priority(app) is None
    app.current_worker_task = SimpleNamespace(request=SimpleNamespace(delivery_info={"priority": 0}))
    app.conf.task_inherit_parent_priority = False
    assert parents_priority(app) is None
