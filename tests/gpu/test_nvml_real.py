"""The NVML probe on a real driver and card, held against what nvidia-smi says."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridq.errors import ProbeError
from gridq.gpu.device import Device
from gridq.gpu.health import State
from gridq.gpu.nvml import NvmlProbe
from gridq.gpu.watch import Watch
from gridq.units import MIB

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def probe() -> Iterator[NvmlProbe]:
    try:
        probe = NvmlProbe()
    except ProbeError as error:
        pytest.skip(f"no NVIDIA driver that works: {error.message}")
    if not probe.devices():
        pytest.skip("NVML lists no GPU on this machine")
    yield probe
    probe.close()


@pytest.fixture(scope="module")
def devices(probe: NvmlProbe) -> list[Device]:
    return probe.devices()


def nvidia_smi(*columns: str) -> dict[str, list[str]]:
    """The columns that nvidia-smi shows of each card, by uuid."""
    if shutil.which("nvidia-smi") is None:
        pytest.skip("no nvidia-smi to compare with")
    command = ["nvidia-smi", f"--query-gpu=uuid,{','.join(columns)}", "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines()]
    return {uuid: cells for uuid, *cells in rows}


def test_devices_are_those_of_nvidia_smi(devices: list[Device]) -> None:
    shown = nvidia_smi("index", "name", "memory.total", "driver_version")
    whole = [device for device in devices if not device.uuid.startswith("MIG-")]
    if not whole:
        pytest.skip("only MIG instances here, which nvidia-smi shows in no such columns")
    for device in whole:
        index, model, mebibytes, driver = shown[device.uuid]
        assert (device.model, device.driver) == (model, driver)
        assert device.memory_total // MIB == pytest.approx(int(mebibytes), abs=1)
        if len(whole) == len(devices):
            assert device.index == int(index)


def test_each_reading_is_of_this_world(probe: NvmlProbe, devices: list[Device]) -> None:
    for device in devices:
        reading = probe.read(device.uuid)
        assert not reading.lost
        assert reading.memory_used is None or 0 <= reading.memory_used <= device.memory_total
        assert reading.utilization is None or 0 <= reading.utilization <= 1
        assert reading.temperature is None or 5 < reading.temperature < 120
        assert reading.temperature_limit is None or 60 < reading.temperature_limit < 130
        assert reading.power is None or 0 < reading.power < 2000
        assert reading.power_limit is None or 0 < reading.power_limit < 2000


def test_readings_are_close_to_nvidia_smi(probe: NvmlProbe, devices: list[Device]) -> None:
    shown = nvidia_smi("memory.used", "temperature.gpu")
    for device in devices:
        if device.uuid.startswith("MIG-"):
            continue
        reading, (mebibytes, degrees) = probe.read(device.uuid), shown[device.uuid]
        if mebibytes.isdecimal() and reading.memory_used is not None:
            # nvidia-smi leaves out the driver's own share, and others may work meanwhile.
            assert -512 < reading.memory_used / MIB - int(mebibytes) < 2048
        if degrees.isdecimal() and reading.temperature is not None:
            assert abs(reading.temperature - int(degrees)) <= 10


def test_a_watch_of_each_gpu_comes_to_a_verdict(devices: list[Device], tmp_path: Path) -> None:
    uuids = [device.uuid for device in devices]
    watch = Watch("nvml", uuids, interval=0.2, deadline=3, state_dir=tmp_path)
    watch.start()
    try:
        end = time.monotonic() + 60
        while any(watch.latest(uuid).verdict.state is State.UNKNOWN for uuid in uuids):
            assert time.monotonic() < end, [watch.latest(uuid).verdict for uuid in uuids]
            time.sleep(0.05)
    finally:
        watch.stop()
