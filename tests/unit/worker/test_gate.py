"""What one worker may claim, given what its GPUs say and what it holds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gridq.broker.holder import Held
from gridq.gpu.device import Device
from gridq.gpu.health import State, Verdict
from gridq.gpu.reading import Process, Reading
from gridq.gpu.watch import Observation
from gridq.placement.load import Weights, rank
from gridq.queues import class_queues
from gridq.store.claims import UNLIMITED
from gridq.units import GIB
from gridq.worker.gate import FAIR_TURN, Gate
from gridq.worker.kin import is_descendant
from gridq.worker.place import Place

OWN = "gpu0@node1"


class Watch:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.state = State.HEALTHY
        self.used: int | None = 0
        self.processes: tuple[Process, ...] | None = ()
        self.age = 0.0
        self.silent = False

    def latest(self, uuid: str) -> Observation:
        reading = None if self.silent else Reading(uuid, memory_used=self.used, processes=self.processes)
        return Observation(reading, self.age, Verdict(self.state))


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(autouse=True)
def _idle_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


def place(*sizes: int) -> Place:
    devices = tuple(Device(f"GPU-{index}", index, "NVIDIA A10G", size * GIB, "550") for index, size in enumerate(sizes))
    return Place(OWN if sizes else "cpu@node1", "node1", devices, None, SimpleNamespace())  # type: ignore[arg-type]


@pytest.fixture
def gate(watch: Watch) -> Gate:
    return Gate(place(24), watch, Weights())  # type: ignore[arg-type]


def consumed(gate_place: Place) -> list[str]:
    return [gate_place.name, *class_queues(gate_place.seat)]  # type: ignore[arg-type]


def held(*sizes: int) -> dict[str, Held]:
    return {f"c{index}": Held(f"t{index}", size * GIB) for index, size in enumerate(sizes)}


def offer(gate: Gate, *sizes: int, slots: int = 1, queues: Any = None, found: Any = ()) -> Any:
    return gate.offer(queues or consumed(place(24)), slots, held=held(*sizes), found=set(found))


def test_an_idle_gpu_offers_all_of_its_memory_and_its_own_queue_first(gate: Gate) -> None:
    made = offer(gate)
    assert (made.slots, made.free, made.rank) == (1, 24 * GIB, rank(0.0, 24 * GIB))
    assert list(made.queues) == [OWN, *(f"gpu.{size}g" for size in (24, 16, 12, 8, 4, 2, 1)), "gpu"]


def test_what_it_holds_is_not_free_also_before_the_task_has_allocated_it(gate: Gate) -> None:
    made = offer(gate, 8, 4)
    assert made.free == 12 * GIB
    assert list(made.queues)[:2] == [OWN, "gpu.12g"]


def test_what_others_hold_is_not_free(gate: Gate, watch: Watch) -> None:
    watch.used = 20 * GIB
    watch.processes = (Process(1, 20 * GIB),)
    assert offer(gate).free == 4 * GIB
    assert offer(gate, 3).free == 1 * GIB


def test_its_own_memory_is_not_counted_twice(gate: Gate, watch: Watch) -> None:
    watch.used = 8 * GIB
    watch.processes = (Process(os.getpid(), 8 * GIB),)
    assert offer(gate, 8).free == 16 * GIB


def test_what_a_task_took_beyond_its_need_is_not_free_once_a_reading_shows_it(gate: Gate, watch: Watch) -> None:
    assert offer(gate, 8).free == 16 * GIB
    watch.used = 12 * GIB
    watch.processes = (Process(os.getpid(), 12 * GIB),)
    watch.age = -0.001  # Taken after the task came.
    assert offer(gate, 8).free == 12 * GIB


def test_a_reading_from_before_the_task_came_counts_memory_of_a_task_that_is_gone(gate: Gate, watch: Watch) -> None:
    watch.used = 20 * GIB
    watch.processes = (Process(os.getpid(), 20 * GIB),)
    watch.age = 60.0
    assert offer(gate, 8).free == 16 * GIB
    assert offer(gate).free == 24 * GIB


def test_a_driver_that_does_not_tell_whose_memory_it_is_counts_it_as_others(gate: Gate, watch: Watch) -> None:
    watch.used, watch.processes = 10 * GIB, None
    assert offer(gate).free == 14 * GIB


def test_a_full_gpu_offers_nothing_but_what_needs_nothing(gate: Gate) -> None:
    made = offer(gate, 24)
    assert made.free == 0 and list(made.queues) == [OWN]


@pytest.mark.parametrize("state", [State.UNKNOWN, State.UNHEALTHY])
def test_a_gpu_that_is_not_well_takes_nothing(gate: Gate, watch: Watch, state: State) -> None:
    watch.state = state
    assert offer(gate) is None
    assert not gate.takes_work


def test_a_warm_gpu_takes_work(gate: Gate, watch: Watch) -> None:
    watch.state = State.DEGRADED
    assert offer(gate).free == 24 * GIB


def test_a_worker_of_gpu_and_cpu_goes_on_with_the_cpu_while_its_gpu_is_sick(gate: Gate, watch: Watch) -> None:
    queues = [*consumed(place(24)), "cpu", "mail"]
    assert list(offer(gate, queues=queues).queues)[-2:] == ["cpu", "mail"]
    watch.state = State.UNKNOWN
    made = offer(gate, queues=queues)
    assert list(made.queues) == ["cpu", "mail"] and made.free == UNLIMITED


def test_constrained_queues_that_it_meets_come_before_the_others(gate: Gate) -> None:
    found = ["gpu:a10g", "gpu.8g:a10g@node1", "gpu:h100", "gpu@node2", "gpu.80g:a10g", "gpu.x2:a10g"]
    assert list(offer(gate, found=found).queues)[:4] == [OWN, "gpu.8g:a10g@node1", "gpu:a10g", "gpu.24g"]


def test_a_constrained_class_that_does_not_fit_now_is_left_out(gate: Gate) -> None:
    assert "gpu.24g:a10g" in offer(gate, found=["gpu.24g:a10g"]).queues
    assert "gpu.24g:a10g" not in offer(gate, 8, found=["gpu.24g:a10g"]).queues


def test_every_few_looks_the_small_classes_come_first(gate: Gate) -> None:
    firsts = [list(offer(gate).queues)[1] for _ in range(2 * FAIR_TURN)]
    assert firsts.count("gpu") == 2 and firsts.count("gpu.24g") == 2 * FAIR_TURN - 2
    assert firsts[FAIR_TURN - 1] == "gpu"


def test_what_idle_gpus_could_take_is_all_that_fits_and_asking_takes_no_turn(gate: Gate) -> None:
    for _ in range(FAIR_TURN):
        made = gate.opening([*consumed(place(24)), "cpu"], held={}, found={"gpu:a10g", "gpu:h100"})
        assert made is not None and made.free == 24 * GIB
        assert list(made.queues) == [OWN, "gpu:a10g", *(f"gpu.{size}g" for size in (24, 16, 12, 8, 4, 2, 1)), "gpu"]
    assert list(offer(gate).queues)[1] == "gpu.24g"


def test_gpus_that_run_something_or_take_no_work_are_not_idle(gate: Gate, watch: Watch) -> None:
    queues = consumed(place(24))
    assert gate.opening(queues, held=held(0), found=set()) is None
    gate.shut = True
    assert gate.opening(queues, held={}, found=set()) is None
    gate.shut, watch.state = False, State.UNKNOWN
    assert gate.opening(queues, held={}, found=set()) is None
    assert Gate(place(), None, Weights()).opening(["cpu"], held={}, found=set()) is None


def test_a_heartbeat_tells_the_bytes_that_other_programs_hold(gate: Gate, watch: Watch) -> None:
    watch.processes = (Process(1, 3 * GIB), Process(os.getpid(), 2 * GIB))
    (status,) = gate.statuses()
    assert status.foreign == 3 * GIB
    assert status.verdict.reasons == ("foreign: other programs hold 3GiB",)
    watch.processes = None
    (status,) = gate.statuses()
    assert status.foreign is None and status.verdict.reasons == ()


def test_a_busier_worker_ranks_behind_an_idle_one(gate: Gate) -> None:
    assert offer(gate, 8, slots=1).rank > offer(gate, slots=2).rank


def test_what_a_finished_task_held_does_not_make_its_worker_heavier(gate: Gate, watch: Watch) -> None:
    assert offer(gate, 20, slots=0) is not None
    watch.used = 20 * GIB
    watch.processes = (Process(os.getpid(), 20 * GIB),)
    watch.age = 0.5  # Taken while the task ran, which has ended since.
    assert offer(gate).rank == rank(0.0, 24 * GIB)


def test_a_cpu_worker_takes_what_it_consumes_and_counts_no_memory() -> None:
    made = Gate(place(), None, Weights()).offer(["cpu", "cpu@node1"], 4, held=held(8), found={"gpu:h100"})
    assert (list(made.queues), made.slots, made.free) == (["cpu", "cpu@node1"], 4, UNLIMITED)  # type: ignore[union-attr]


def test_several_gpus_offer_the_room_of_the_fullest(watch: Watch) -> None:
    gate = Gate(place(24, 16), watch, Weights())  # type: ignore[arg-type]
    assert gate.free(held(4)) == 12 * GIB


def test_before_the_first_reading_only_what_it_holds_is_counted(gate: Gate, watch: Watch) -> None:
    watch.silent = True
    assert gate.free(held(8)) == 16 * GIB


@pytest.fixture
def grandchild() -> Iterator[int]:
    shell = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert shell.stdout is not None
    yield int(shell.stdout.readline())
    os.killpg(shell.pid, 9)
    shell.communicate()


def test_children_of_children_are_its_own_and_others_are_not(grandchild: int) -> None:
    assert is_descendant(os.getpid()) and is_descendant(grandchild)
    assert not is_descendant(1) and not is_descendant(os.getppid())
    assert not is_descendant(2**22 + 1)
