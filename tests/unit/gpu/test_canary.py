"""A canary is a process of its own that nobody waits for, and it says honestly what it could not check."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gridq.gpu import canary
from gridq.gpu.canary import Canary
from gridq.gpu.course import Check, Outcome
from gridq.gpu.sim import Simulator

GPU = "SIM-0000-24gib"
Eventually = Callable[..., Any]


@pytest.fixture
def simulator(tmp_path: Path) -> Simulator:
    return Simulator(tmp_path)


def outcome(tmp_path: Path, eventually: Eventually, uuid: str = GPU, deadline: float = 20.0) -> Check:
    bird = Canary(uuid, tmp_path, deadline=deadline)
    assert bird.poll() is None
    bird.start()
    began = time.monotonic()
    bird.start()
    assert bird.poll() is None
    assert time.monotonic() - began < 0.2
    found = eventually(bird.poll, timeout=30)
    assert bird.poll() is None
    return found


def test_it_passes_on_a_simulated_gpu_that_is_well(tmp_path: Path, eventually: Eventually) -> None:
    assert outcome(tmp_path, eventually) == Check(Outcome.PASSED)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"canary_fails": True}, "the simulated card computes wrongly"),
        ({"lost": True}, "the simulated card has fallen off the bus"),
    ],
)
def test_it_fails_on_one_that_is_not(simulator: Simulator, tmp_path: Path, state: Any, reason: str) -> None:
    simulator.set(GPU, **state)
    assert canary.check(GPU, tmp_path) == Check(Outcome.FAILED, reason)


def test_one_that_hangs_fails_at_its_deadline(simulator: Simulator, tmp_path: Path, eventually: Eventually) -> None:
    simulator.set(GPU, hang=True)
    found = outcome(tmp_path, eventually, deadline=0.7)
    assert found == Check(Outcome.FAILED, "expected an answer within 700ms, there was none")


def test_one_that_is_stopped_ends(simulator: Simulator, tmp_path: Path, eventually: Eventually) -> None:
    simulator.set(GPU, hang=True)
    bird = Canary(GPU, tmp_path)
    bird.start()
    bird.stop()
    assert eventually(bird.poll).outcome is Outcome.FAILED


def test_it_sees_its_gpu_only_and_what_a_library_prints_does_not_confuse_it(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cupy.py").write_text(
        "import os\nprint('[1, 2]\\n{\"outcome\": 7}\\nCuPy says hello')\n"
        "raise RuntimeError(os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1,GPU-2")
    found = outcome(tmp_path, eventually, "GPU-2")
    assert found == Check(Outcome.FAILED, "CuPy says RuntimeError: GPU-2")


def test_a_process_that_dies_has_failed(
    tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cupy.py").write_text("import os\nos.abort()")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    assert "its process ended with -6" in outcome(tmp_path, eventually, "GPU-0").reason


def test_without_a_library_it_says_that_nothing_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = canary.check("GPU-0", tmp_path)
    assert found.outcome is Outcome.ABSENT
    assert "no CuPy or PyTorch here" in found.reason


def numpy_as_cupy() -> Any:
    return pytest.importorskip("numpy")


def test_with_cupy_it_computes_what_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = numpy_as_cupy()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "cupy" or None)
    monkeypatch.setattr(importlib, "import_module", lambda name: numpy)
    assert canary.check("GPU-0", tmp_path) == Check(Outcome.PASSED)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"matmul": lambda a, b: a @ b + 1}, "it computes wrongly: expected 13"),
        ({"arange": lambda *args, dtype: numpy_as_cupy().zeros(8)}, "64 MiB of its memory did not keep"),
    ],
)
def test_with_cupy_on_a_gpu_that_computes_or_remembers_wrongly_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any, reason: str
) -> None:
    numpy = numpy_as_cupy()
    names = ("arange", "matmul", "tile", "int64", "float32")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "cupy" or None)
    fake = SimpleNamespace(**({name: getattr(numpy, name) for name in names} | broken))
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    found = canary.check("GPU-0", tmp_path)
    assert found.outcome is Outcome.FAILED
    assert found.reason.startswith(reason)


def test_what_it_says_is_one_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert canary.main([GPU, str(tmp_path), "30"]) == 0
    finally:
        canary.signal.setitimer(canary.signal.ITIMER_REAL, 0)
    assert json.loads(capsys.readouterr().out) == {"outcome": "passed", "reason": ""}
