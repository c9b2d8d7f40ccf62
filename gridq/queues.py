"""The names of the queues, and who may look into which.

A GPU task's queue says what it needs: `gpu`, then `.24g` (memory class), `.x2` (GPUs of one node), `:h100` (models,
joined by `+`), `@node1` (node): `gpu.24g:a100+h100@node1`. A worker looks into every queue whose words it meets.
A CPU task goes to `cpu` or `cpu@node1`. A worker's own queue has the worker's name, `gpu0@node1`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from gridq.needs import Needs
from gridq.units import GIB

#: Memory classes in GiB: the sizes that GPUs have, and halves of the small ones.
CLASSES = (1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 141, 192, 288)

CPU, GPU = "cpu", "gpu"
#: The model of a seat with GPUs of several, which no task can ask for: no letter, no digit.
MIXED = "–"
EXCHANGE = "gridq"

_GPU_QUEUE = re.compile(
    r"gpu(?:\.(?P<size>\d+)g)?(?:\.x(?P<gpus>\d+))?(?::(?P<models>[a-z0-9+-]+))?(?:@(?P<node>[^@]+))?"
)


@dataclass(frozen=True, slots=True)
class Seat:
    """What a GPU worker offers, as far as queue names can ask for it.

    Attributes:
        gpus: how many GPUs the worker holds.
        memory: bytes of the smallest of them, in all.
        model: their model's name as the driver says it; `MIXED` where they are not all of one.
        node: the host.
    """

    gpus: int
    memory: int
    model: str
    node: str

    @classmethod
    def of(cls, gpus: Sequence[tuple[int, str]], node: str) -> Self:
        """The seat of a worker that holds GPUs of such memory (bytes) and models."""
        memories, models = zip(*gpus, strict=True)
        # Else a task that asks for a model would get a GPU of another one beside it.
        return cls(len(gpus), min(memories), models[0] if len(set(models)) == 1 else MIXED, node)


def class_of(vram: int) -> int | None:
    """The memory class in GiB that covers `vram` bytes; None for 0 bytes, the largest class for what exceeds all."""
    if not vram:
        return None
    index = bisect_left(CLASSES, vram / GIB)
    return CLASSES[min(index, len(CLASSES) - 1)]


def class_floor(size: int) -> int:
    """Every task of class `size` (GiB) needs more than this many bytes."""
    index = CLASSES.index(size)
    return CLASSES[index - 1] * GIB if index else 0


def slug(model: str) -> str:
    """`NVIDIA A100-SXM4-40GB` → `nvidia-a100-sxm4-40gb`."""
    return "-".join(re.findall(r"[a-z0-9]+", model.lower()))


def is_model(model: str, wanted: str) -> bool:
    """Whether the words of `wanted` stand in the model's name: `A100` in `NVIDIA A100-SXM4-40GB`."""
    return f"-{slug(wanted)}-" in f"-{slug(model)}-"


def queue_for(needs: Needs) -> str:
    """The shared queue in which a task with these needs waits."""
    node = f"@{needs.node}" if needs.node else ""
    if not needs.gpu:
        return CPU + node
    size = class_of(needs.vram)
    return "".join(
        (
            GPU,
            f".{size}g" if size else "",
            f".x{needs.gpus}" if needs.gpus > 1 else "",
            ":" + "+".join(sorted({slug(model) for model in needs.models})) if needs.models else "",
            node,
        )
    )


def is_gpu(queue: str) -> bool:
    """Whether tasks that need a GPU wait in this shared queue."""
    return queue == GPU or queue.startswith(GPU + ".") or is_constrained(queue)


def is_constrained(queue: str) -> bool:
    """Whether a GPU queue asks for a model or a node, so that workers must be told that it exists."""
    return _GPU_QUEUE.fullmatch(queue) is not None and (":" in queue or "@" in queue)


def must_be_told(queue: str) -> bool:
    """Whether it must be written down that the queue exists: no list of workers tells of one that asks for a model, a
    node or a worker, which may be away."""
    return is_constrained(queue) or "@" in queue


def size_of(queue: str) -> str:
    """The queue's size in a word: `24g`; `any` without a class, `cpu`, `own` for a worker's own, `other` otherwise."""
    match = _GPU_QUEUE.fullmatch(queue)
    if match:
        return f"{match['size']}g" if match["size"] else "any"
    if queue == CPU or queue.startswith(CPU + "@"):
        return CPU
    return "own" if "@" in queue else "other"


def gpu_count(queue: str) -> int | None:
    """How many GPUs each task there asks for; None where the name tells nothing of GPUs."""
    match = _GPU_QUEUE.fullmatch(queue)
    return int(match["gpus"] or 1) if match else None


def vram_floor(queue: str) -> int:
    """Bytes that every task in the queue exceeds; 0 where the queue has no class."""
    match = _GPU_QUEUE.fullmatch(queue)
    size = int(match["size"]) if match and match["size"] else 0
    return class_floor(size) if size in CLASSES else 0


def vram_ceiling(queue: str) -> int:
    """Bytes that no task in the queue exceeds, the largest class apart; 0 where the queue has no class."""
    match = _GPU_QUEUE.fullmatch(queue)
    return int(match["size"]) * GIB if match and match["size"] else 0


def admits(queue: str, seat: Seat) -> bool:
    """Whether a worker with this seat may look into the queue; a single task there can still be too large for it."""
    match = _GPU_QUEUE.fullmatch(queue)
    if match is None or gpu_count(queue) != seat.gpus:
        return False
    if match["node"] and match["node"] != seat.node:
        return False
    if match["models"] and not any(is_model(seat.model, wanted) for wanted in match["models"].split("+")):
        return False
    return vram_floor(queue) < seat.memory


def class_queues(seat: Seat) -> list[str]:
    """The queues without model or node that the seat admits, the largest class first, the one without a class last."""
    count = f".x{seat.gpus}" if seat.gpus > 1 else ""
    names = [f"{GPU}.{size}g{count}" for size in reversed(CLASSES)] + [GPU + count]
    return [name for name in names if admits(name, seat)]
