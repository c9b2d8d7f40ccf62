"""Needs are checked where they are written, travel in a message, and come out of it unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridq.errors import NeedError
from gridq.needs import MAX_GPUS, NEED_NAMES, Needs, misspelt, priority_number
from gridq.units import GIB, MIB

NODES = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=1, max_size=20)
MODELS = st.lists(st.sampled_from(["H100", "A100", "RTX 4090", "NVIDIA L4", "MI300X"]), max_size=3)


@st.composite
def any_needs(draw: st.DrawFn) -> Needs:
    words: dict[str, Any] = {"node": draw(st.none() | NODES)}
    if draw(st.booleans()):
        words |= {
            "gpu": True,
            "gpus": draw(st.integers(1, MAX_GPUS)),
            "vram": draw(st.just(0) | st.integers(MIB, 300 * GIB)),
        }
        words |= {"models": draw(MODELS)}
    return Needs.of(**words)


@given(any_needs())
def test_needs_come_out_of_a_message_as_they_went_in(needs: Needs) -> None:
    assert Needs.from_message(json.loads(json.dumps(needs.to_message()))) == needs


def test_a_message_carries_only_what_was_said() -> None:
    assert Needs().to_message() == {}
    assert Needs.of(vram="8GiB").to_message() == {"gpu": True, "vram": 8 * GIB}


@pytest.mark.parametrize("words", [{"gpus": 2}, {"vram": "8GiB"}, {"models": "H100"}])
def test_asking_for_a_part_of_a_gpu_asks_for_a_gpu(words: dict[str, Any]) -> None:
    assert Needs.of(**words).gpu


def test_a_call_overrides_only_the_words_that_it_says() -> None:
    declared = Needs.of(gpu=True, vram="8GiB", models=["H100"], node="node1")
    assert declared.override(vram="24GiB", node=None) == Needs.of(vram="24GiB", models=["H100"], node="node1")


def test_no_gpu_and_memory_of_a_gpu_contradict_each_other() -> None:
    with pytest.raises(NeedError, match="gpu=False"):
        Needs.of(gpu=False, vram="8GiB")


@pytest.mark.parametrize(
    "words",
    [
        {"gpu": 2},
        {"gpu": "yes"},
        {"gpus": 0},
        {"gpus": MAX_GPUS + 1},
        {"gpus": True},
        {"gpus": "2"},
        {"vram": "lots"},
        {"vram": -1},
        {"models": [""]},
        {"models": 7},
        {"models": ["—"]},
        {"node": "gpu0@node1"},
        {"node": ""},
        {"node": "a b"},
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_the_need(words: dict[str, Any]) -> None:
    with pytest.raises(NeedError, match=next(iter(words))):
        Needs.of(**words)


@pytest.mark.parametrize("vram", [12, "12", "12B", MIB - 1])
def test_memory_without_a_unit_is_no_need_for_a_few_bytes(vram: object) -> None:
    with pytest.raises(NeedError, match=r'vram: expected 1MiB or more, got .*\nhint: .*vram="12GiB"'):
        Needs.of(vram=vram)


def test_a_call_can_send_a_gpu_task_to_the_cpu() -> None:
    needs = Needs.of(vram="8GiB", models=["H100"], gpus=2, node="node1").override(gpu=False)
    assert needs == Needs.of(node="node1")
    assert Needs.from_message(needs.to_message()) == needs


def test_a_misspelt_need_is_refused_with_the_right_spelling() -> None:
    with pytest.raises(NeedError, match="did you mean 'vram'") as caught:
        Needs.of(vramm="8GiB")
    assert caught.value.hint == "did you mean 'vram'?"


def test_a_word_that_is_almost_a_need_is_found_among_options_that_are_not() -> None:
    assert misspelt(["countdown", "vrm", "queue"]) == ("vrm", "vram")
    assert misspelt([*NEED_NAMES, "countdown", "priority"]) is None


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("vrma", "vram"),
        ("vramm", "vram"),
        ("modles", "models"),
        ("model", "models"),
        ("modells", "models"),
        ("gpuss", "gpus"),
        ("gpsu", "gpus"),
        ("nodes", "node"),
        ("ndoe", "node"),
    ],
)
def test_a_slip_of_the_finger_is_seen(slip: str, meant: str) -> None:
    assert misspelt([slip]) == (slip, meant)


@pytest.mark.parametrize(
    "word", ["mode", "code", "note", "none", "name", "cpus", "cpu", "ram", "gpio", "module", "grams", "", "n", "done"]
)
def test_a_word_of_its_own_is_no_slip(word: str) -> None:
    assert misspelt([word]) is None


@pytest.mark.parametrize("header", [None, 3, "gpu", ["gpu"]])
def test_a_header_that_is_no_mapping_is_refused(header: object) -> None:
    with pytest.raises(NeedError, match="expected a mapping"):
        Needs.from_message(header)


def test_words_of_a_newer_version_in_a_header_are_passed_over() -> None:
    assert Needs.from_message({"gpu": True, "fabric": "nvlink"}) == Needs.of(gpu=True)


def test_models_mean_the_same_in_any_order_and_number() -> None:
    assert Needs.of(models=["H100", "A100", "H100 "]) == Needs.of(models=("A100", "H100"))
    assert Needs.of(models="H100").models == ("H100",)


@pytest.mark.parametrize(("said", "number"), [("high", 0), ("normal", 3), ("low", 6), (0, 0), (9, 9)])
def test_the_smallest_priority_number_goes_first(said: object, number: int) -> None:
    assert priority_number(said) == number


@pytest.mark.parametrize("said", ["urgent", 10, -1, True, None, 1.5])
def test_another_priority_is_refused(said: object) -> None:
    with pytest.raises(NeedError, match="expected priority"):
        priority_number(said)


def test_needs_are_told_as_they_are_written() -> None:
    assert str(Needs.of(vram="8GiB", models=["H100", "A100"], gpus=2, node="n1")) == (
        "gpus=2 vram=8GiB models=A100|H100 node=n1"
    )
    assert str(Needs()) == "cpu"
    assert str(Needs.of(gpu=True)) == "gpu"
