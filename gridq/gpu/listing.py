"""Which GPUs this machine has, asked in a process of its own: a driver that hangs must not hang who asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from gridq.errors import GridqError, ProbeError
from gridq.gpu import open_probe
from gridq.gpu.device import Device

#: Seconds; NVML can take several to wake a machine's cards up.
DEADLINE = 30.0


def list_devices(spec: str, state_dir: Path, *, deadline: float = DEADLINE) -> list[Device]:
    """The machine's GPUs by index.

    Args:
        spec: which probe, see `gpu.open_probe`.
        state_dir: where simulated GPUs keep their state.
        deadline: seconds to wait for the driver.

    Raises:
        ProbeError: for a wrong spec, or a driver that does not answer, or not in time.
    """
    command = [sys.executable, "-m", "gridq.gpu.listing", spec, str(state_dir)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=deadline, check=False)
    except subprocess.TimeoutExpired:
        hint = "nvidia-smi probably hangs too; the driver's log (dmesg) may say why"
        raise ProbeError(f"expected the GPU driver to answer within {deadline:g}s, it did not", hint=hint) from None
    try:
        said = json.loads(answer.stdout)
    except ValueError:
        raise ProbeError(
            f"expected a list of GPUs, the probe ended with {answer.returncode}: {answer.stderr}"
        ) from None
    if "error" in said:
        raise ProbeError(said["error"], hint=said["hint"])
    return [Device.from_dict(device) for device in said["devices"]]


def _say(spec: str, state_dir: Path) -> dict[str, object]:
    try:
        probe = open_probe(spec, state_dir)
        try:
            return {"devices": [device.to_dict() for device in probe.devices()]}
        finally:
            probe.close()
    except GridqError as error:
        return {"error": error.message, "hint": error.hint}


if __name__ == "__main__":
    print(json.dumps(_say(sys.argv[1], Path(sys.argv[2]))))
