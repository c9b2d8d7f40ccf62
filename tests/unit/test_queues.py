"""A queue's name says what its tasks need, and a worker looks into exactly those whose words it meets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridq.needs import Needs
from gridq.queues import (
    CLASSES,
    Seat,
    admits,
    class_floor,
    class_of,
    class_queues,
    is_constrained,
    is_model,
    queue_for,
    size_of,
    slug,
    vram_ceiling,
    vram_floor,
)
from gridq.units import GIB, MIB

CARDS = [
    "NVIDIA H100 80GB HBM3",
    "NVIDIA A100-SXM4-40GB",
    "NVIDIA GeForce RTX 4090",
    "NVIDIA L4",
    "AMD Instinct MI300X",
]
WANTED = ["H100", "A100", "a100", "RTX 4090", "L4", "L40", "MI300X"]
HOSTS = ["node1", "node10", "node1.rack-2"]

SEATS = st.builds(
    Seat,
    gpus=st.sampled_from([1, 2, 4]),
    memory=st.integers(2 * MIB, 300 * GIB) | st.sampled_from([size * GIB for size in CLASSES]),
    model=st.sampled_from(CARDS),
    node=st.sampled_from(HOSTS),
)


#: Bytes that a task can ask for; 0 where it does not say.
VRAM = st.just(0) | st.integers(MIB, 300 * GIB)


@st.composite
def gpu_needs(draw: st.DrawFn) -> Needs:
    words: dict[str, Any] = {
        "gpu": True,
        "gpus": draw(st.sampled_from([1, 2, 4])),
        "vram": draw(VRAM | st.sampled_from([size * GIB for size in CLASSES])),
        "models": draw(st.lists(st.sampled_from(WANTED), max_size=2)),
        "node": draw(st.none() | st.sampled_from(HOSTS)),
    }
    return Needs.of(**words)


def fits(needs: Needs, seat: Seat) -> bool:
    """What the words mean, said without queues."""
    return (
        needs.gpus == seat.gpus
        and needs.vram <= seat.memory
        and (not needs.models or any(is_model(seat.model, model) for model in needs.models))
        and needs.node in (None, seat.node)
    )


@st.composite
def needs_beside_a_seat(draw: st.DrawFn) -> tuple[Needs, Seat]:
    """Needs that mostly fit the seat, and often by a hair, since unrelated ones hardly ever do."""
    seat = draw(SEATS)
    words: dict[str, Any] = {
        "gpu": True,
        "gpus": draw(st.sampled_from([seat.gpus, seat.gpus, seat.gpus, 2])),
        "vram": draw(st.sampled_from([0, seat.memory - 1, seat.memory, seat.memory + 1]) | VRAM),
        "models": draw(st.sampled_from([[], [seat.model], ["H100"], ["L4", "A100"]])),
        "node": draw(st.sampled_from([None, seat.node, "node1"])),
    }
    return Needs.of(**words), seat


@settings(max_examples=500)
@given(needs_beside_a_seat())
def test_a_worker_looks_into_a_queue_iff_a_task_of_that_queue_can_fit_it(pair: tuple[Needs, Seat]) -> None:
    needs, seat = pair
    queue = queue_for(needs)
    smallest_of_queue = replace(needs, vram=min(needs.vram, vram_floor(queue) + 1))
    assert admits(queue, seat) == fits(smallest_of_queue, seat)


@given(needs_beside_a_seat())
def test_a_task_that_fits_is_always_in_sight(pair: tuple[Needs, Seat]) -> None:
    needs, seat = pair
    assert admits(queue_for(needs), seat) or not fits(needs, seat)


@given(gpu_needs())
def test_the_memory_of_a_task_lies_between_the_floor_and_the_ceiling_of_its_queue(needs: Needs) -> None:
    queue = queue_for(needs)
    assert vram_floor(queue) < needs.vram or not needs.vram
    assert needs.vram <= vram_ceiling(queue) or needs.vram > CLASSES[-1] * GIB


@given(SEATS)
def test_the_class_queues_of_a_worker_are_those_without_model_or_node_that_it_may_look_into(seat: Seat) -> None:
    sizes = (0, *(size * GIB for size in CLASSES))
    named = [queue_for(Needs.of(gpu=True, gpus=seat.gpus, vram=vram)) for vram in sizes]
    assert sorted(class_queues(seat)) == sorted(name for name in named if admits(name, seat))


@given(SEATS)
def test_the_largest_class_is_looked_into_first_and_the_one_without_a_class_last(seat: Seat) -> None:
    floors = [vram_floor(name) for name in class_queues(seat)]
    assert floors == sorted(floors, reverse=True)
    assert vram_ceiling(class_queues(seat)[-1]) == 0


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ({}, "cpu"),
        ({"node": "node1"}, "cpu@node1"),
        ({"gpu": True}, "gpu"),
        ({"vram": "20GiB"}, "gpu.24g"),
        ({"vram": "24GiB"}, "gpu.24g"),
        ({"vram": 24 * GIB + 1}, "gpu.32g"),
        ({"vram": "1000GiB"}, "gpu.288g"),
        ({"gpus": 2}, "gpu.x2"),
        ({"models": ["RTX 4090"]}, "gpu:rtx-4090"),
        ({"vram": "20GiB", "gpus": 2, "models": ["H100", "A100"], "node": "node1"}, "gpu.24g.x2:a100+h100@node1"),
    ],
)
def test_a_queue_is_named_after_the_needs(words: dict[str, Any], name: str) -> None:
    assert queue_for(Needs.of(**words)) == name


@pytest.mark.parametrize("models", [["H100", "a100"], ["A100", "H100", "h100"]])
def test_the_same_models_written_otherwise_share_a_queue(models: list[str]) -> None:
    assert queue_for(Needs.of(models=models)) == "gpu:a100+h100"


@pytest.mark.parametrize("queue", ["cpu", "cpu@node1", "gpu0@node1", "celery", "", "gpux", "gpu.24", "gpu.x2.24g"])
def test_a_queue_that_is_not_for_sharing_gpus_admits_no_seat(queue: str) -> None:
    assert not admits(queue, Seat(1, 80 * GIB, CARDS[0], "node1"))


def test_only_queues_with_a_model_or_a_node_must_be_told_to_workers() -> None:
    assert is_constrained("gpu.24g:h100") and is_constrained("gpu@node1")
    assert not any(map(is_constrained, ("gpu", "gpu.24g.x2", "cpu@node1", "gpu0@node1")))


def test_a_model_is_met_by_whole_words_of_its_name() -> None:
    assert is_model("NVIDIA A100-SXM4-40GB", "A100") and is_model("NVIDIA A100-SXM4-40GB", "nvidia a100")
    assert not is_model("NVIDIA L40S", "L4") and not is_model("NVIDIA L4", "L40")


def test_a_slug_has_only_letters_digits_and_single_dashes() -> None:
    assert slug("NVIDIA A100-SXM4-40GB") == "nvidia-a100-sxm4-40gb"
    assert slug("  RTX (4090) Ti ") == "rtx-4090-ti"


@given(st.integers(1, CLASSES[-1] * GIB))
def test_the_class_of_an_amount_is_the_smallest_that_covers_it(vram: int) -> None:
    size = class_of(vram)
    assert size is not None
    assert class_floor(size) < vram <= size * GIB


def test_no_memory_need_has_no_class() -> None:
    assert class_of(0) is None
    assert vram_floor("gpu") == vram_ceiling("gpu") == vram_floor("gpu.x2:h100@node1") == 0


@pytest.mark.parametrize(
    ("queue", "size"),
    [
        ("gpu", "any"),
        ("gpu.x2", "any"),
        ("gpu:h100", "any"),
        ("gpu.24g", "24g"),
        ("gpu.8g.x4:a100+h100@node1", "8g"),
        ("cpu", "cpu"),
        ("cpu@node1", "cpu"),
        ("gpu0@node1", "own"),
        ("trainer@node1", "own"),
        ("mail", "other"),
    ],
)
def test_the_size_of_a_queue_is_one_of_few_words(queue: str, size: str) -> None:
    assert size_of(queue) == size
