"""What needs CUDA itself, on a real card: the canary, and whether CUDA is said to work exactly where it does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridq.errors import ProbeError
from gridq.gpu.canary import Canary
from gridq.gpu.course import Check, Outcome
from gridq.gpu.nvml import NvmlProbe

pytestmark = pytest.mark.gpu

#: In each, `use` and `crash` of that library; a crash is a kernel that writes to a wrong address.
LIBRARIES = {
    "cupy": """
import cupy
def use(): return float(cupy.arange(10).sum())
def crash():
    cupy.RawKernel('extern "C" __global__ void crash(int* p) { *p = 1; }', "crash")((1,), (1,), (16,))
    cupy.cuda.Device().synchronize()
""",
    "torch": """
import torch
def use(): return float(torch.arange(10, device="cuda").sum())
def crash(): torch.zeros(4, device="cuda")[torch.tensor([10**9], device="cuda")].item()
""",
}
STORY = """
from gridq.worker.cuda import fatal_error
print(fatal_error())
use()
print(fatal_error())
try:
    crash()
except Exception:
    print(fatal_error())
"""


@pytest.fixture(scope="module")
def uuid() -> str:
    try:
        probe = NvmlProbe()
    except ProbeError as error:
        pytest.skip(f"no NVIDIA driver that works: {error.message}")
    devices = probe.devices()
    probe.close()
    if not devices:
        pytest.skip("NVML lists no GPU on this machine")
    return devices[0].uuid


def installed() -> list[str]:
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is not None]


def test_the_canary_passes_on_a_card_that_works(uuid: str, tmp_path: Path) -> None:
    if not installed():
        pytest.skip("neither CuPy nor PyTorch is installed")
    canary = Canary(uuid, tmp_path)
    canary.start()
    check: Check | None = None
    while check is None:
        check = canary.poll()
        time.sleep(0.05)
    assert check.outcome is Outcome.PASSED, check


@pytest.mark.parametrize("library", LIBRARIES)
def test_cuda_is_said_to_be_broken_once_it_is(uuid: str, library: str) -> None:
    if library not in installed():
        pytest.skip(f"{library} is not installed")
    run = subprocess.run(
        [sys.executable, "-c", LIBRARIES[library] + STORY], capture_output=True, text=True, timeout=100, check=False
    )
    before, between, after = run.stdout.splitlines()
    assert (before, between) == ("None", "None"), run.stderr
    # An index out of bounds is an assertion of PyTorch's, or the wrong address that it leads to.
    assert after in {"CUDA_ERROR_ILLEGAL_ADDRESS", "CUDA_ERROR_ASSERT"}, run.stderr
