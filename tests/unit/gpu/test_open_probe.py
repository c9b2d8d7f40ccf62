"""Which probe a spec names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gridq.errors import ProbeError
from gridq.gpu import open_probe
from gridq.gpu.probe import NoProbe


def test_sim_names_simulated_gpus(tmp_path: Path) -> None:
    assert len(open_probe("sim:2x24GiB", tmp_path).devices()) == 2


@pytest.mark.parametrize(("spec", "hint"), [("nvlm", "did you mean nvml?"), ("sin:24GiB", "did you mean sim:2x24GiB?")])
def test_a_slip_of_the_pen_is_answered_by_what_was_meant(tmp_path: Path, spec: str, hint: str) -> None:
    with pytest.raises(ProbeError, match="expected GPUs as auto, nvml or sim:4x24GiB") as caught:
        open_probe(spec, tmp_path)
    assert caught.value.hint == hint


@pytest.mark.parametrize("spec", ["", "cuda:0", "sim", "nvml:0"])
def test_anything_else_is_refused_with_a_hint(tmp_path: Path, spec: str) -> None:
    with pytest.raises(ProbeError) as caught:
        open_probe(spec, tmp_path)
    assert caught.value.hint


def test_a_machine_without_gpus_lists_none_and_reads_none() -> None:
    probe = NoProbe()
    assert probe.devices() == []
    with pytest.raises(ProbeError, match="this machine has none"):
        probe.read("GPU-0")
    probe.close()


def test_the_probe_process_imports_nothing_heavy() -> None:
    """It starts again after each hang, on a machine that may be short of everything."""
    program = "import sys, gridq.gpu.watch; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "gridq.gpu.watch" in loaded
    assert not loaded & {"celery", "kombu", "redis", "pynvml", "gridq.gpu.sim", "gridq.gpu.nvml", "yaml", "click"}
