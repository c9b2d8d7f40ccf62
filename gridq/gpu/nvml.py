"""NVIDIA GPUs, asked through NVML. The only file that touches `pynvml`.

What a driver does not say is None. Under MIG each instance is a device of its own: memory and processes are the
instance's, temperature and faults are the card's, utilization and power do not exist.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pynvml

from gridq.errors import ProbeError
from gridq.gpu.device import Device
from gridq.gpu.reading import Process, Reading
from gridq.gpu.xid import XidEvent

logger = logging.getLogger(__name__)

T = TypeVar("T")

_ABSENT = (
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_FunctionNotFound,
    pynvml.NVMLError_NoPermission,
    # A MIG handle gets this for what only whole cards have, an old driver for a newer version of a structure.
    pynvml.NVMLError_InvalidArgument,
    pynvml.NVMLError_ArgumentVersionMismatch,
    pynvml.NVMLError_NoData,
)
_NO_DRIVER = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
_WHOLE_CARD = 0xFFFFFFFF
_EVENTS_PER_READING = 100
_EVENT_WAIT = 1
"""Milliseconds to wait for an event: as good as none, whatever a driver makes of zero."""


class NoDriverError(ProbeError):
    """This machine has no NVIDIA driver."""


@dataclass(frozen=True, slots=True)
class _Handle:
    """NVML's handles of a device: its own, and that of the card that it is or lies on."""

    own: Any
    card: Any
    card_uuid: str
    instance: int | None

    @property
    def is_mig(self) -> bool:
        return self.own is not self.card


class NvmlProbe:
    """Asks NVIDIA's driver. See `Probe`.

    Raises:
        NoDriverError: where there is no driver.
        ProbeError: where the driver does not work.
    """

    def __init__(self) -> None:
        self._handles: dict[str, _Handle] = {}
        self._event_sets: dict[str, Any] = {}
        self._waiting: dict[str, list[XidEvent]] = {}
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            if error.value in _NO_DRIVER:
                hint = "install the NVIDIA driver, or simulate GPUs: `--gpus sim:2x24GiB`"
                raise NoDriverError(f"expected an NVIDIA driver, but NVML says: {error}", hint=hint) from error
            hint = "see whether `nvidia-smi` works; a driver that was just updated needs a reboot"
            raise ProbeError(f"NVML does not start: {error}", hint=hint) from error
        self._open = True

    def devices(self) -> list[Device]:
        """Every GPU by index; where MIG is on, its instances for the card. Cards that do not answer are left out."""
        with _asking("list its GPUs"):
            driver, count = _text(pynvml.nvmlSystemGetDriverVersion()), pynvml.nvmlDeviceGetCount()
        found: list[Device] = []
        index = 0
        for number in range(count):
            try:
                handles = _find(number)
                self._handles |= handles
                found += [_device(uuid, index + at, own, driver) for at, (uuid, own) in enumerate(handles.items())]
            except pynvml.NVMLError as error:
                # One sick card must not take the others with it; it keeps its place, so that they keep their index.
                logger.warning("GPU %d of this machine does not answer and is left out: %s", number, error)
                handles = {}
            index += len(handles) or 1
        return found

    def read(self, uuid: str) -> Reading:
        """What the GPU says now."""
        if uuid not in self._handles:
            self.devices()
        handle = self._handles.get(uuid)
        if handle is None:
            known = ", ".join(self._handles) or "none"
            raise ProbeError(f"expected a GPU of this machine, got {uuid!r}", hint=f"this machine has: {known}")
        with _asking(f"read {uuid}"):
            self._waiting.setdefault(uuid, [])
            try:
                self._collect(handle)
                reading = _read(uuid, handle)
            except pynvml.NVMLError_GpuIsLost:
                reading = Reading(uuid, lost=True)
        xids, self._waiting[uuid] = self._waiting[uuid], []
        return replace(reading, xids=tuple(xids))

    def close(self) -> None:
        """Let go of the driver."""
        if not self._open:
            return
        self._open = False
        # A driver that is gone by now has nothing left to let go of.
        with suppress(pynvml.NVMLError):
            for events in self._event_sets.values():
                if events is not None:
                    pynvml.nvmlEventSetFree(events)
            pynvml.nvmlShutdown()

    def _collect(self, handle: _Handle) -> None:
        """Hand out the card's new XIDs to those of its devices that are being read, for their next reading."""
        for event, instance in _drain(self._events(handle)):
            for uuid, waiting in self._waiting.items():
                its = self._handles[uuid]
                concerned = instance in (_WHOLE_CARD, its.instance) or not its.is_mig
                if its.card_uuid == handle.card_uuid and concerned:
                    waiting.append(event)

    def _events(self, handle: _Handle) -> Any | None:
        """The card's own set of XID events; None where the driver offers none."""
        if handle.card_uuid not in self._event_sets:
            self._event_sets[handle.card_uuid] = _subscribe(handle.card)
        return self._event_sets[handle.card_uuid]


def _subscribe(card: Any) -> Any | None:
    events = _ask(pynvml.nvmlEventSetCreate)
    if events is None:
        return None
    try:
        pynvml.nvmlDeviceRegisterEvents(card, pynvml.nvmlEventTypeXidCriticalError, events)
    except pynvml.NVMLError as error:
        pynvml.nvmlEventSetFree(events)
        if isinstance(error, _ABSENT):
            return None
        raise
    return events


def _find(number: int) -> dict[str, _Handle]:
    """The devices of a card: itself, or its MIG instances."""
    card = pynvml.nvmlDeviceGetHandleByIndex(number)
    uuid = _text(pynvml.nvmlDeviceGetUUID(card))
    mode = _ask(pynvml.nvmlDeviceGetMigMode, card)
    if mode is None or mode[0] == pynvml.NVML_DEVICE_MIG_DISABLE:
        return {uuid: _Handle(card, card, uuid, None)}
    instances = {}
    for place in range(_ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, card) or 0):
        try:
            own = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, place)
        except pynvml.NVMLError_NotFound:
            continue
        instance = _ask(pynvml.nvmlDeviceGetGpuInstanceId, own)
        instances[_text(pynvml.nvmlDeviceGetUUID(own))] = _Handle(own, card, uuid, instance)
    return instances


def _device(uuid: str, index: int, handle: _Handle, driver: str) -> Device:
    model = _ask(pynvml.nvmlDeviceGetName, handle.own) or pynvml.nvmlDeviceGetName(handle.card)
    memory = _memory(handle.own)
    return Device(uuid, index, _text(model), memory.total if memory else 0, driver)


def _read(uuid: str, handle: _Handle) -> Reading:
    card, memory = handle.card, _memory(handle.own)
    # A MIG instance has neither of these, and the card's own would count once for every instance.
    busy = None if handle.is_mig else _ask(pynvml.nvmlDeviceGetUtilizationRates, card)
    power = None if handle.is_mig else _ask(pynvml.nvmlDeviceGetPowerUsage, card)
    power_limit = None if handle.is_mig else _ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, card)
    double_bit = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    temperature, remapped = _temperature(card), _ask(pynvml.nvmlDeviceGetRemappedRows, card)
    return Reading(
        uuid,
        memory_used=memory.total - memory.free if memory else None,
        utilization=busy.gpu / 100 if busy else None,
        temperature=_number(temperature),
        temperature_limit=_number(_temperature_limit(card, temperature)),
        power=_number(power, scale=1e-3),
        power_limit=_number(power_limit, scale=1e-3),
        processes=_processes(handle.own),
        ecc_uncorrected=_ask(pynvml.nvmlDeviceGetTotalEccErrors, card, *double_bit),
        remap_failed=bool(remapped[3]) if remapped else None,
    )


def _memory(handle: Any) -> Any | None:
    """Version 2 tells the driver's own share apart; total minus free is what is used, that share included, in both."""
    newest = partial(pynvml.nvmlDeviceGetMemoryInfo, version=pynvml.nvmlMemory_v2)
    return _ask(newest, handle) or _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)


def _temperature(card: Any) -> int | None:
    sensor = pynvml.NVML_TEMPERATURE_GPU
    older = _ask(pynvml.nvmlDeviceGetTemperature, card, sensor)
    return older if older is not None else _ask(pynvml.nvmlDeviceGetTemperatureV, card, sensor)


def _temperature_limit(card: Any, temperature: int | None) -> int | None:
    """The slowdown threshold; cards that only say how far off it is are taken at their word."""
    limit = _ask(pynvml.nvmlDeviceGetTemperatureThreshold, card, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
    if limit is not None or temperature is None:
        return limit
    margin = _ask(pynvml.nvmlDeviceGetMarginTemperature, card)
    return None if margin is None else temperature + margin


def _processes(handle: Any) -> tuple[Process, ...] | None:
    running = _ask(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)
    if running is None:
        running = _ask(pynvml.nvmlDeviceGetComputeRunningProcesses_v2, handle)
    return None if running is None else tuple(Process(found.pid, found.usedGpuMemory) for found in running)


def _drain(events: Any | None) -> Iterator[tuple[XidEvent, int]]:
    """Each waiting XID, and the MIG instance that it hit. NVML says neither when it happened nor to which process."""
    for _ in range(_EVENTS_PER_READING if events is not None else 0):
        try:
            event = pynvml.nvmlEventSetWait_v2(events, _EVENT_WAIT)
        except (pynvml.NVMLError_Timeout, *_ABSENT):
            return
        if event.eventType == pynvml.nvmlEventTypeXidCriticalError:
            told = time.monotonic_ns()
            yield XidEvent(int(event.eventData), told, told / 1e9), int(event.gpuInstanceId)


def _ask(question: Callable[..., T], *args: Any) -> T | None:
    """The driver's answer, or None where it has none."""
    try:
        return question(*args)
    except _ABSENT:
        return None


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except pynvml.NVMLError as error:
        hint = "see whether `nvidia-smi` works, and what `dmesg` says of the GPU"
        raise ProbeError(f"NVML could not {what}: {error}", hint=hint) from error


def _number(value: int | None, scale: float = 1.0) -> float | None:
    return None if value is None else value * scale


def _text(value: str | bytes) -> str:
    """Older versions of NVIDIA's module give bytes."""
    return value.decode() if isinstance(value, bytes) else value
