"""Where a worker sits: its GPUs, its name, its queues."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridq.config import Settings
from gridq.errors import NameTakenError, NoGpuError
from gridq.queues import MIXED, Seat, admits
from gridq.units import GIB
from gridq.worker.place import Place, Wish, take_place

Take = Callable[..., Place]


@pytest.fixture
def take(runtime_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Take]:
    """Takes places on simulated GPUs, all of them free again at the end."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "before")
    taken: list[Place] = []

    def call(queues: str = "gpu", probe: str = "sim:2x24GiB", **wish: object) -> Place:
        settings = Settings(node="node1", runtime_dir=runtime_dir)
        taken.append(take_place(Wish(queues.split(","), **wish), settings, probe))  # type: ignore[arg-type]
        return taken[-1]

    yield call
    for place in taken:
        place.name_lock.close()
        if place.lock:
            place.lock.release()


@pytest.mark.parametrize("queue", ["gpu", "gpu.8g", "gpu:h100", "gpu@node1", "gpu.x2"])
def test_a_gpu_queue_asks_for_a_gpu(queue: str) -> None:
    assert Wish(["cpu", queue]).wants_gpu


@pytest.mark.parametrize("queues", [[], ["cpu"], ["cpu@node1"], ["gpus"], ["mygpu"]])
def test_other_queues_do_not(queues: list[str]) -> None:
    assert not Wish(queues).wants_gpu


def test_a_worker_is_named_after_its_gpu_and_sees_no_other(take: Take) -> None:
    place = take()
    assert (place.name, place.node) == ("gpu0@node1", "node1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == place.devices[0].uuid
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert place.seat == Seat(1, 24 * GIB, "Simulated 24GiB", "node1")


def test_it_consumes_its_own_queue_and_every_class_that_it_can_hold(take: Take) -> None:
    classes = [f"gpu.{size}g" for size in (24, 16, 12, 8, 4, 2, 1)]
    assert take().queues == ["gpu0@node1", *classes, "gpu"]


def test_the_same_wish_gets_one_gpu_after_the_other_and_then_none(take: Take) -> None:
    first, second = take(), take()
    assert [first.name, second.name] == ["gpu0@node1", "gpu1@node1"]
    with pytest.raises(NoGpuError, match=rf"(?s)of 2 none can be taken.*pid {os.getpid()} \(gpu1@node1\)"):
        take()


def test_a_gpu_can_be_asked_for_by_index_or_uuid(take: Take) -> None:
    assert take(gpu="1").name == "gpu1@node1"
    assert take(gpu="SIM-0000-24gib").name == "gpu0@node1"
    with pytest.raises(NoGpuError, match="expected a GPU of this machine, got '7'"):
        take(gpu="7")


def test_several_gpus_make_one_worker_for_tasks_that_ask_for_so_many(take: Take) -> None:
    place = take(gpus=2, probe="sim:24GiB,48GiB")
    assert place.name == "gpu0-1@node1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(device.uuid for device in place.devices)
    assert place.seat == Seat(2, 24 * GIB, MIXED, "node1")
    assert place.queues[1] == "gpu.24g.x2" and place.queues[-1] == "gpu.x2"


def test_cpu_workers_of_one_machine_number_themselves(take: Take) -> None:
    names = [take("cpu").name for _ in range(3)]
    assert names == ["cpu@node1", "cpu2@node1", "cpu3@node1"]


def test_a_cpu_worker_has_its_own_queue_and_that_of_its_node_and_changes_no_environment(take: Take) -> None:
    assert take("cpu").queues == ["cpu@node1"]
    assert take("cpu").queues == ["cpu2@node1", "cpu@node1"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "before"


def test_a_name_of_ones_own_is_taken_once(take: Take) -> None:
    assert take("cpu", name="mailer@node1").name == "mailer@node1"
    with pytest.raises(NameTakenError, match="got mailer@node1"):
        take("cpu", name="mailer@node1")


def test_a_gpu_is_free_again_when_the_name_was_taken(take: Take) -> None:
    take("cpu", name="mine@node1")
    with pytest.raises(NameTakenError):
        take("gpu", name="mine@node1")
    assert [take().name, take().name] == ["gpu0@node1", "gpu1@node1"]


def test_a_name_is_free_again_when_its_process_is_gone(take: Take) -> None:
    take("cpu").name_lock.close()
    assert take("cpu").name == "cpu@node1"


def test_a_worker_of_both_kinds_has_the_queue_of_its_nodes_cpu_tasks_too(take: Take) -> None:
    assert "cpu@node1" in take("gpu,cpu").queues
    assert "cpu@node1" not in take("gpu").queues


def test_a_worker_with_gpus_of_several_models_is_of_none_of_them(take: Take) -> None:
    seat = take(probe="sim:24GiB,80GiB", gpus=2).seat
    assert seat is not None and seat.memory == 24 * GIB
    assert admits("gpu.x2", seat)
    assert not admits("gpu.x2:24gib", seat) and not admits("gpu.x2:80gib", seat)
