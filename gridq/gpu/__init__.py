"""What the hardware says. Knows neither Celery nor Redis.

device (what a GPU is) · reading (what it says now) · plain (both from JSON) · probe (who asks it: nvml, sim) · xid
(what an error number means) · health (reading → verdict) · watch (a probe in a process of its own, with a deadline) ·
heat, course (the verdict over time) · canary (a check of a GPU that was sick) · ward (all of these for a worker's GPUs)
· listing (the same, once) · lock (who holds it)
"""

from __future__ import annotations

import difflib
import logging
from pathlib import Path

from gridq.errors import ProbeError
from gridq.gpu.probe import NoProbe, Probe

logger = logging.getLogger(__name__)


def open_probe(spec: str, state_dir: Path) -> Probe:
    """The probe that a spec names.

    Args:
        spec: `nvml` (NVIDIA's driver), `sim:4x24GiB,2x80GiB` (simulated GPUs), or `auto`: NVML where it lists a GPU,
            else a probe of no GPUs.
        state_dir: where the state of simulated GPUs lies, see `gpu.sim`.

    Raises:
        ProbeError: for a spec that names no probe, or a probe that was named and cannot be opened.
    """
    kind, colon, _ = spec.partition(":")
    if kind == "sim" and colon:
        from gridq.gpu.sim import SimProbe

        return SimProbe(spec, state_dir)
    if spec == "nvml":
        from gridq.gpu.nvml import NvmlProbe

        return NvmlProbe()
    if spec == "auto":
        return _auto()
    near = difflib.get_close_matches(kind, ["auto", "nvml", "sim"], n=1)
    examples = {"sim": "sim:2x24GiB"}
    hint = f"did you mean {examples.get(near[0], near[0])}?" if near else "most machines want auto"
    raise ProbeError(f"expected GPUs as auto, nvml or sim:4x24GiB, got {spec!r}", hint=hint)


def _auto() -> Probe:
    # Only the probe that is used is imported: a machine that simulates its GPUs never touches NVIDIA's library.
    from gridq.gpu.nvml import NoDriverError, NvmlProbe

    try:
        probe = NvmlProbe()
    except NoDriverError:
        return NoProbe()
    except ProbeError as error:
        logger.warning("NVML is installed but does not answer, so this machine counts as one without GPUs: %s", error)
        return NoProbe()
    try:
        if probe.devices():
            return probe
    except ProbeError as error:
        logger.warning("NVML lists no GPUs, so this machine counts as one without: %s", error)
    probe.close()
    return NoProbe()
