"""Which workers are tried for a task, in which order, and what is said of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from gridq.gpu.health import State, Verdict
from gridq.needs import Needs
from gridq.placement.decision import CANDIDATES, Snapshot, decide, impossible
from gridq.placement.fit import misfit, obstacle
from gridq.placement.strategies import STRATEGIES, least_loaded
from gridq.queues import Seat
from gridq.store.workers import WorkerStatus
from gridq.units import GIB

Make = Callable[..., WorkerStatus]
GPU = Needs(gpu=True)
A10G = Seat(1, 24 * GIB, "NVIDIA A10G", "node1")
H100 = Seat(2, 80 * GIB, "NVIDIA H100 80GB HBM3", "node2")


def snapshot(*workers: WorkerStatus, seats: tuple[Seat, ...] | None = None) -> Snapshot:
    return Snapshot(workers, tuple(w.seat for w in workers if w.seat) if seats is None else seats, 0.0)


def test_the_lightest_comes_first(make_worker: Make) -> None:
    workers = [make_worker("a@n", score=2.0), make_worker("b@n", score=0.4), make_worker("c@n", score=1.0)]
    assert [worker.name for worker in least_loaded(workers)] == ["b@n", "c@n", "a@n"]


def test_among_equally_light_workers_the_smallest_gpu_comes_first_then_the_name(make_worker: Make) -> None:
    workers = [make_worker("c@n", 80), make_worker("b@n", 24), make_worker("a@n", 24), make_worker("d@n", 8)]
    assert [worker.name for worker in least_loaded(workers)] == ["d@n", "a@n", "b@n", "c@n"]


def test_the_settings_know_every_strategy() -> None:
    from gridq.knobs import KNOBS

    assert all(KNOBS["strategy"].parse(name) == name for name in STRATEGIES)


@pytest.mark.parametrize(
    ("needs", "seat", "reason"),
    [
        (Needs(gpu=True, vram=24 * GIB), A10G, None),
        (Needs(gpu=True, vram=24 * GIB + 1), A10G, "has 24GiB of memory in all"),
        (Needs(gpu=True, gpus=2), A10G, "holds 1 GPU(s), not 2"),
        (Needs(gpu=True), H100, "holds 2 GPU(s), not 1"),
        (Needs(gpu=True, gpus=2, models=("A100", "H100")), H100, None),
        (Needs(gpu=True, models=("H100",)), A10G, "is a NVIDIA A10G"),
        (Needs(gpu=True, models=("A10",)), A10G, "is a NVIDIA A10G"),
        (Needs(gpu=True, node="node2"), A10G, "is on another node than node2"),
    ],
)
def test_a_seat_says_why_a_task_could_never_run_there(needs: Needs, seat: Seat, reason: str | None) -> None:
    assert misfit(needs, seat) == reason


def test_a_sick_gpu_is_an_obstacle_and_says_what_it_has(make_worker: Make) -> None:
    hot = make_worker("a@n", verdict=Verdict(State.UNHEALTHY, ("hot: 95°C", "XID 79")))
    assert obstacle(GPU, hot) == "is unhealthy: hot: 95°C, XID 79"
    warm = make_worker("a@n", verdict=Verdict(State.DEGRADED, ("warm",)))
    assert obstacle(GPU, warm) is None
    assert obstacle(GPU, make_worker("cpu@n", 0)) == "holds no GPU"


def test_one_sick_gpu_of_several_is_enough(make_worker: Make) -> None:
    pair = make_worker("a@n", gpus=2)
    lost = replace(pair.gpus[1], verdict=Verdict(State.UNKNOWN, ("no reading for 4s",)))
    pair = replace(pair, gpus=(pair.gpus[0], lost))
    assert obstacle(Needs(gpu=True, gpus=2), pair) == "is unknown: no reading for 4s"


def test_a_decision_names_candidates_and_counts_why_others_were_not(make_worker: Make) -> None:
    fleet = snapshot(
        make_worker("gpu0@n", 24, score=1.0),
        make_worker("gpu1@n", 48),
        make_worker("gpu2@n", 12),
        make_worker("gpu3@n", 12),
        make_worker("gpu4@n", 80, verdict=Verdict(State.UNKNOWN, ("no reading yet",))),
        make_worker("cpu@n", 0),
    )
    decision = decide(fleet, Needs(gpu=True, vram=20 * GIB), "least-loaded")
    assert decision.candidates == ("gpu1@n", "gpu0@n")
    assert decision.impossible is None
    text = json.loads(decision.text)
    assert text["strategy"] == "least-loaded"
    assert [(c["worker"], c["score"]) for c in text["candidates"]] == [("gpu1@n", 0.0), ("gpu0@n", 1.0)]
    assert text["rejected"] == {"has 12GiB of memory in all": 2, "is unknown: no reading yet": 1}


def test_busy_workers_stay_candidates_since_the_reservation_asks_who_is_ready(make_worker: Make) -> None:
    busy = replace(make_worker("gpu0@n"), running=("t1",), free=0)
    assert decide(snapshot(busy), Needs(gpu=True, vram=20 * GIB), "least-loaded").candidates == ("gpu0@n",)


def test_no_more_workers_are_tried_than_a_publish_can_afford(make_worker: Make) -> None:
    fleet = snapshot(*(make_worker(f"gpu{index:03d}@n") for index in range(CANDIDATES * 3)))
    assert len(decide(fleet, GPU, "least-loaded").candidates) == CANDIDATES


def test_a_decision_is_worked_out_once_per_snapshot_and_needs(make_worker: Make) -> None:
    fleet = snapshot(make_worker("gpu0@n"))
    first = fleet.decide(GPU, "least-loaded")
    assert fleet.decide(Needs.of(gpu=True), "least-loaded") is first
    assert fleet.decide(Needs(gpu=True, vram=1), "least-loaded") is not first
    assert snapshot(make_worker("gpu0@n")).decide(GPU, "least-loaded") is not first


def test_what_no_gpu_ever_seen_can_run_is_called_impossible() -> None:
    seats = (A10G, A10G, H100)
    assert impossible(Needs(gpu=True, vram=24 * GIB), seats) is None
    assert impossible(Needs(gpu=True, vram=40 * GIB), seats) == (
        "asks for gpu vram=40GiB, and the fleet has only 2 × NVIDIA A10G (24GiB, 1 per worker) on node1, "
        "1 × NVIDIA H100 80GB HBM3 (80GiB, 2 per worker) on node2"
    )


def test_an_empty_fleet_is_said_to_be_empty_and_an_unknown_one_is_believed() -> None:
    assert impossible(GPU, ()) == "asks for gpu, and no GPU worker has been seen yet"
    assert impossible(GPU, None) is None


def test_a_sick_gpu_makes_no_task_impossible(make_worker: Make) -> None:
    sick = make_worker("gpu0@n", verdict=Verdict(State.UNHEALTHY, ("hot",)))
    decision = decide(snapshot(sick), GPU, "least-loaded")
    assert decision.candidates == () and decision.impossible is None
