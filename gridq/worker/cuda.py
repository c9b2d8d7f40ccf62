"""Whether CUDA still works in this process.

After some errors it does not: whatever the process asks of its GPU from then on is answered with that same error, and
NVIDIA's cuda.h says of each that the process must be ended. The driver's own library is asked, and only where something
else has loaded it; nothing here begins to use a GPU.
"""

from __future__ import annotations

import ctypes
import os

#: CUresult, of cuda.h for CUDA 13: those of which it says that the process must be terminated, the assertion after
#: which "the context cannot be used anymore", and the memory error that no program can go on after.
FATAL = {
    214: "CUDA_ERROR_ECC_UNCORRECTABLE",
    226: "CUDA_ERROR_CONTAINED",
    700: "CUDA_ERROR_ILLEGAL_ADDRESS",
    702: "CUDA_ERROR_LAUNCH_TIMEOUT",
    710: "CUDA_ERROR_ASSERT",
    714: "CUDA_ERROR_HARDWARE_STACK_ERROR",
    715: "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    716: "CUDA_ERROR_MISALIGNED_ADDRESS",
    717: "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    718: "CUDA_ERROR_INVALID_PC",
    719: "CUDA_ERROR_LAUNCH_FAILED",
    721: "CUDA_ERROR_TENSOR_MEMORY_LEAK",
    810: "CUDA_ERROR_MPS_CLIENT_TERMINATED",
    911: "CUDA_ERROR_EXTERNAL_DEVICE",
}
_DRIVER = "libcuda.so.1"
_DEFAULT_STREAM = None
#: CUDA_ERROR_NOT_INITIALIZED: nobody in this process has called cuInit.
_NOT_INITIALIZED = 3


def in_use() -> bool:
    """Whether this process has begun to use CUDA; no process forked from it can, then."""
    driver = _driver()
    return driver is not None and driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) != _NOT_INITIALIZED


def fatal_error() -> str | None:
    """The error that has ended CUDA for this process, by its name in cuda.h; None where CUDA works or is not in use.

    It waits for nothing: what the GPU is still busy with is taken to be well.
    """
    driver = _driver()
    if driver is None:
        return None
    for context in _contexts(driver):
        driver.cuCtxPushCurrent_v2(context)
        answer = driver.cuStreamQuery(_DEFAULT_STREAM)
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        if answer in FATAL:
            return FATAL[answer]
    return None


def _driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(_DRIVER, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return None


def _contexts(driver: ctypes.CDLL) -> list[ctypes.c_void_p]:
    """The contexts in use: the primary one of each GPU, in which CUDA's runtime computes, if there is one."""
    count = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    found = []
    for device in range(count.value):
        flags, active, context = ctypes.c_uint(), ctypes.c_int(), ctypes.c_void_p()
        driver.cuDevicePrimaryCtxGetState(device, ctypes.byref(flags), ctypes.byref(active))
        # It is there already, so this only counts one more who uses it; the process keeps it to its end anyway.
        if active.value and not driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device):
            driver.cuDevicePrimaryCtxRelease_v2(device)
            found.append(context)
    return found
