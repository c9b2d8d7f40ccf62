"""What the contract suite needs of each kind of probe: to open it, and to change what its GPUs say."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridq.errors import ProbeError
from gridq.gpu.device import Device
from gridq.gpu.reading import Reading
from gridq.gpu.sim import Simulator

HERE = Path(__file__).parent
GIB = 2**30
PATIENCE = 20.0


def eventually(condition: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """The first true value of a condition, asked again and again; fails the test when none comes in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    pytest.fail(f"nothing true within {timeout:g}s", pytrace=True)


class RemoteProbe:
    """A probe that lives in another process, so that it can hang and load a library of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "probe_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment},
            text=True,
        )

    def devices(self) -> list[Device]:
        return [Device.from_dict(plain) for plain in self.call("devices")]

    def read(self, uuid: str) -> Reading:
        return Reading.from_dict(self.call("read", uuid))

    def close(self) -> None:
        self.call("close")

    def call(self, *what: str) -> Any:
        self.begin(*what)
        assert self.answers_within(PATIENCE), f"no answer to {what}"
        return self.finish()

    def begin(self, *what: str) -> None:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def answers_within(self, seconds: float) -> bool:
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def finish(self) -> Any:
        said = json.loads(self.process.stdout.readline())
        if "error" in said:
            raise ProbeError(said["error"], hint=said["hint"])
        return said["answer"]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Rig:
    """A machine with two GPUs of 24 GiB. `set` takes memory_used, temperature, ecc, remap_failed, lost and hang."""

    def __init__(self, spec: str, state_dir: Path, environment: dict[str, str]) -> None:
        self.spec, self.state_dir, self.environment = spec, state_dir, environment
        self._probes: list[RemoteProbe] = []

    def open(self) -> RemoteProbe:
        probe = RemoteProbe(self.environment)
        self._probes.append(probe)
        probe.call("open", self.spec, str(self.state_dir))
        return probe

    def set(self, uuid: str, **state: float | None) -> None:
        raise NotImplementedError

    def raise_xid(self, uuid: str, number: int) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        for probe in self._probes:
            probe.kill()


class SimRig(Rig):
    def __init__(self, state_dir: Path) -> None:
        super().__init__("sim:2x24GiB", state_dir, {})

    def set(self, uuid: str, **state: float | None) -> None:
        names = {"memory_used": "foreign", "ecc": "ecc_uncorrected"}
        Simulator(self.state_dir).set(uuid, **{names.get(key, key): value for key, value in state.items()})

    def raise_xid(self, uuid: str, number: int) -> None:
        Simulator(self.state_dir).raise_xid(uuid, number)


class NvmlRig(Rig):
    """The real probe and the real nvidia-ml-py on a stand-in for the driver's library, `fake_nvml.c`."""

    def __init__(self, state_dir: Path, library_dir: Path) -> None:
        self.file = state_dir / "nvml.state"
        environment = {"LD_LIBRARY_PATH": str(library_dir), "FAKE_NVML_STATE": str(self.file)}
        super().__init__("nvml", state_dir, environment)
        self._lines: list[str] = []
        self.write("count 2")

    def write(self, *lines: str) -> None:
        self._lines += lines
        new = self.file.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in self._lines))
        new.replace(self.file)

    def set(self, uuid: str, **state: float | None) -> None:
        card = uuid.split("-")[1]
        self.write(*(f"{card}.{key} {int(value)}" for key, value in state.items()))

    def raise_xid(self, uuid: str, number: int, instance: int = -1) -> None:
        self.write(f"xid {len(self._lines) + 1} {uuid.split('-')[1]} {number} {instance}")


def compile_fake_nvml(target: Path, *flags: str) -> Path:
    """A directory with a libnvidia-ml.so.1 of our own."""
    return _compile(target / "libnvidia-ml.so.1", HERE / "fake_nvml.c", *flags).parent


def compile_fake_cuda(target: Path) -> Path:
    """A libcuda.so.1 of our own in this directory."""
    return _compile(target / "libcuda.so.1", HERE / "fake_cuda.c", "-Wl,-soname,libcuda.so.1")


def _compile(library: Path, source: Path, *flags: str) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        reason = "no C compiler, which the stand-ins for the driver need (Debian: apt install gcc libc6-dev)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    library.parent.mkdir()
    command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *flags]
    subprocess.run([*command, "-o", library, source], check=True)
    return library
