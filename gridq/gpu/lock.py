"""Who holds which GPU of this machine: one file per GPU, locked by whoever works on it.

The lock is the open file's (`flock`). A child that is forked later shares it, so a GPU stays taken while a child of a
killed worker still runs on it; a program that is executed does not inherit it. Nobody has to clean up.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from gridq.errors import NoGpuError
from gridq.gpu.device import Device

_SHARED_DIR, _SHARED_FILE = 0o1777, 0o666


class GpuLock:
    """GPUs that are held, until `release` or the end of this process and of all its forked children.

    Attributes:
        devices: what is held, by index.
    """

    def __init__(self, held: dict[Device, int]) -> None:
        self.devices = tuple(held)
        self._files = list(held.values())

    def sign(self, name: str) -> None:
        """Say who holds the GPUs, for those who find them taken: a worker learns its name only after it has its GPU."""
        for file in self._files:
            _sign(file, name)

    def release(self) -> None:
        """Let go. Calling it twice is fine. A forked child that still runs keeps the GPUs taken."""
        # Closed, not unlocked: unlocking would take the lock away from the children too.
        while self._files:
            os.close(self._files.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def take(devices: Sequence[Device], lock_dir: Path, wanted: str | int | None = None, count: int = 1) -> GpuLock:
    """Take the first free GPUs, or the wanted one, now or not at all. Of many who take at once, each gets its own.

    Args:
        devices: the GPUs of this machine.
        lock_dir: where the lock files lie, the same for everyone on this machine; made when needed, for all users.
        wanted: a uuid or an index (`3` or `"3"`); None for any.
        count: how many; all of them or none.

    Raises:
        NoGpuError: there is no such GPU, or too few are free; says who holds the others.
        ValueError: for a count below 1.
    """
    if count < 1:
        raise ValueError(f"expected a count of at least 1 GPU, got {count}")
    if not devices:
        hint = "simulate some with `--probe sim:2x24GiB`, or start a CPU worker with `-Q cpu`"
        raise NoGpuError("expected a GPU, but this machine has none", hint=hint)
    candidates = [device for device in devices if wanted is None or str(wanted) in (device.uuid, str(device.index))]
    if not candidates:
        raise NoGpuError(f"expected a GPU of this machine, got {wanted!r}", hint=f"there are: {_listed(devices)}")
    with _one_at_a_time(lock_dir):
        return GpuLock(_first_free(candidates, lock_dir, count))


def _first_free(candidates: Sequence[Device], lock_dir: Path, count: int) -> dict[Device, int]:
    held: dict[Device, int] = {}
    try:
        for device in candidates:
            file = _lock(_path(lock_dir, device))
            if file is not None:
                held[device] = file
            if len(held) == count:
                break
        else:
            raise _too_few(candidates, held, lock_dir, count)
        for file in held.values():
            _sign(file, f"user {_user()}")
    except BaseException:
        GpuLock(held).release()
        raise
    return held


def _too_few(candidates: Sequence[Device], held: dict[Device, int], lock_dir: Path, count: int) -> NoGpuError:
    free = "none" if not held else f"only {len(held)}"
    lines = [f"expected {count} free GPU{'s' * (count > 1)}, but of {len(candidates)} {free} can be taken:"]
    for device in candidates:
        who = "free" if device in held else f"held by {_holder(_path(lock_dir, device))}"
        lines.append(f"  {device.index}  {device.model}  {device.uuid}  {who}")
    hint = "stop the worker that holds it, or start a CPU worker with `-Q cpu`"
    if count > len(candidates):
        hint = "ask for fewer GPUs"
    return NoGpuError("\n".join(lines), hint=hint)


def _listed(devices: Sequence[Device]) -> str:
    return ", ".join(f"{device.index} = {device.uuid}" for device in devices)


def _path(lock_dir: Path, device: Device) -> Path:
    # An index can change at a reboot or with a card: locks go by uuid.
    return lock_dir / f"{device.uuid}.lock"


@contextmanager
def _one_at_a_time(lock_dir: Path) -> Iterator[None]:
    """Without it, two who each want four of four GPUs could each find some taken by the other, and both give up."""
    try:
        try:
            lock_dir.mkdir(parents=True)
            lock_dir.chmod(_SHARED_DIR)
        except FileExistsError:
            pass
        guard = _open(lock_dir / "guard")
    except OSError as error:
        hint = "the directory of GPU locks must be writable for everyone who starts workers on this machine"
        raise NoGpuError(f"cannot lock GPUs in {lock_dir}: {error}", hint=hint) from error
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
    finally:
        # Unlocked, not only closed: a child forked meanwhile has it open too.
        fcntl.flock(guard, fcntl.LOCK_UN)
        os.close(guard)


def _lock(path: Path) -> int | None:
    """The open, locked file, or None where someone else has it."""
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _open(path: Path) -> int:
    """Open a file that all users share. Not inherited by programs that are executed."""
    # Where fs.protected_regular is set, O_CREAT on another user's file in a sticky directory fails, also as root:
    # so a file that is there is opened without it, and one that is not appears with its mode already right.
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        number, new = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            os.fchmod(number, _SHARED_FILE)
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            os.close(number)
            Path(new).unlink()
        return os.open(path, flags)


def _sign(file: int, name: str) -> None:
    text = f"{os.getpid()} {name}\n".encode()
    os.pwrite(file, text, 0)
    os.ftruncate(file, len(text))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _holder(path: Path) -> str:
    """Who signed a lock file, in words."""
    pid, _, name = path.read_text(errors="replace").split("\n")[0].partition(" ")
    if not pid.isdecimal():
        return "a process that has not said who it is"
    if not _exists(int(pid)):
        return f"a process that {name or 'someone'} (pid {pid}, which has ended) left behind"
    return f"pid {pid} ({name})"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
