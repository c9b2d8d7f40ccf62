"""Who gets which GPU of a machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridq.errors import NoGpuError
from gridq.gpu.device import Device
from gridq.gpu.lock import take

DEVICES = [Device(f"GPU-{index}", index, "Fake 24GB", 24 * 2**30, "570") for index in range(8)]
PREAMBLE = """
import os, sys, time
from pathlib import Path
from gridq.errors import NoGpuError
from gridq.gpu.device import Device
from gridq.gpu.lock import take
devices = [Device(f"GPU-{index}", index, "Fake 24GB", 24 * 2**30, "570") for index in range(8)]
lock_dir = Path(sys.argv[1])
"""

Python = Callable[..., subprocess.Popen[str]]


def is_free(lock_dir: Path) -> bool:
    try:
        take(DEVICES, lock_dir, wanted=0).release()
    except NoGpuError:
        return False
    return True


def held(lock: Any) -> list[int]:
    return [device.index for device in lock.devices]


def test_takes_the_first_free_gpu(tmp_path: Path) -> None:
    with take(DEVICES, tmp_path) as first, take(DEVICES, tmp_path) as second:
        assert (held(first), held(second)) == ([0], [1])


def test_a_released_gpu_is_free_again_and_releasing_twice_is_fine(tmp_path: Path) -> None:
    lock = take(DEVICES, tmp_path)
    lock.release()
    lock.release()
    with take(DEVICES, tmp_path) as again:
        assert held(again) == [0]


@pytest.mark.parametrize("wanted", [3, "3", "GPU-3"])
def test_takes_the_wanted_one_by_index_or_uuid(tmp_path: Path, wanted: str | int) -> None:
    with take(DEVICES, tmp_path, wanted=wanted) as lock:
        assert held(lock) == [3]


def test_takes_several_or_none(tmp_path: Path) -> None:
    with take(DEVICES, tmp_path, count=6) as six:
        assert held(six) == [0, 1, 2, 3, 4, 5]
        with pytest.raises(NoGpuError, match="expected 3 free GPUs, but of 8 only 2 can be taken"):
            take(DEVICES, tmp_path, count=3)
        with take(DEVICES, tmp_path, count=2) as rest:
            assert held(rest) == [6, 7]


def test_says_who_holds_which_gpu_where_none_is_free(tmp_path: Path) -> None:
    with take(DEVICES[:2], tmp_path) as signed, take(DEVICES[:2], tmp_path):
        signed.sign("gpu0@node1")
        with pytest.raises(NoGpuError) as caught:
            take(DEVICES[:2], tmp_path)
    lines = caught.value.message.splitlines()
    assert lines[0] == "expected 1 free GPU, but of 2 none can be taken:"
    assert lines[1] == f"  0  Fake 24GB  GPU-0  held by pid {os.getpid()} (gpu0@node1)"
    assert lines[2].startswith(f"  1  Fake 24GB  GPU-1  held by pid {os.getpid()} (user ")
    assert "-Q cpu" in caught.value.hint


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    with take(DEVICES[:1], tmp_path) as lock:
        lock.sign("a-name-that-is-very-long-indeed@node1")
        lock.sign("gpu0@n")
        assert (tmp_path / "GPU-0.lock").read_text() == f"{os.getpid()} gpu0@n\n"


def test_says_which_gpus_there_are_where_the_wanted_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(NoGpuError, match="got 'GPU-9'") as caught:
        take(DEVICES[:2], tmp_path, wanted="GPU-9")
    assert caught.value.hint == "there are: 0 = GPU-0, 1 = GPU-1"


def test_says_what_to_do_on_a_machine_without_gpus(tmp_path: Path) -> None:
    with pytest.raises(NoGpuError, match="this machine has none") as caught:
        take([], tmp_path)
    assert "--probe sim:2x24GiB" in caught.value.hint
    assert "-Q cpu" in caught.value.hint


def test_says_what_is_wrong_with_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NoGpuError, match="cannot lock GPUs in") as caught:
        take(DEVICES, tmp_path / "file" / "locks")
    assert "writable" in caught.value.hint


def test_files_can_be_shared_by_all_users_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        take(DEVICES, tmp_path / "locks").release()
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o7777) for path in (tmp_path / "locks").iterdir()}
    assert modes == {"GPU-0.lock": "0o666", "guard": "0o666"}
    assert oct((tmp_path / "locks").stat().st_mode & 0o7777) == "0o1777"


def test_eight_who_take_at_once_get_eight_gpus_and_a_ninth_gets_none(tmp_path: Path, python: Python) -> None:
    program = f"""{PREAMBLE}
import json
print("ready", flush=True)
sys.stdin.readline()
lock = take(devices, lock_dir)
print(json.dumps([device.index for device in lock.devices]), flush=True)
sys.stdin.readline()
"""
    eight = [python(program, tmp_path / "locks") for _ in range(8)]
    for process in eight:
        assert process.stdout.readline() == "ready\n"
    for process in eight:
        process.stdin.write("go\n")
        process.stdin.flush()
    got = [json.loads(process.stdout.readline()) for process in eight]
    assert sorted(got) == [[index] for index in range(8)]
    with pytest.raises(NoGpuError, match="of 8 none can be taken") as caught:
        take(DEVICES, tmp_path / "locks")
    assert all(f"held by pid {process.pid} " in caught.value.message for process in eight)


def test_of_several_who_want_all_gpus_at_once_one_gets_them(tmp_path: Path, python: Python) -> None:
    program = f"""{PREAMBLE}
for line in sys.stdin:
    while time.monotonic() < float(line):
        pass
    try:
        lock = take(devices[:: int(sys.argv[2])], lock_dir, count=8)
        print("won", flush=True)
    except NoGpuError:
        print("lost", flush=True)
        continue
    sys.stdin.readline()
    lock.release()
    print("released", flush=True)
"""
    # From both ends: without care each gets half, and gives up.
    rivals = [python(program, tmp_path, step) for step in (1, -1)]
    for _ in range(50):
        start = time.monotonic() + 0.005
        for rival in rivals:
            rival.stdin.write(f"{start}\n")
            rival.stdin.flush()
        results = [rival.stdout.readline() for rival in rivals]
        assert sorted(results) == ["lost\n", "won\n"]
        winner = rivals[results.index("won\n")]
        winner.stdin.write("release\n")
        winner.stdin.flush()
        assert winner.stdout.readline() == "released\n"


def test_a_forked_child_keeps_the_gpu_of_its_killed_parent_taken(
    tmp_path: Path, python: Python, eventually: Callable[..., Any]
) -> None:
    program = f"""{PREAMBLE}
lock = take(devices, lock_dir)
lock.sign("gpu0@node1")
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""
    parent = python(program, tmp_path)
    child = int(parent.stdout.readline())
    try:
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        with pytest.raises(NoGpuError) as caught:
            take(DEVICES, tmp_path, wanted=0)
        left = f"held by a process that gpu0@node1 (pid {parent.pid}, which has ended) left behind"
        assert left in caught.value.message
    finally:
        os.kill(child, signal.SIGKILL)
    eventually(lambda: is_free(tmp_path))


def test_releasing_in_a_forked_child_does_not_free_the_parents_gpu(tmp_path: Path) -> None:
    with take(DEVICES[:1], tmp_path) as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(NoGpuError):
            take(DEVICES[:1], tmp_path)


def test_an_executed_program_does_not_keep_the_gpu_taken(tmp_path: Path) -> None:
    take(DEVICES, tmp_path).release()
    lock = take(DEVICES, tmp_path)
    program = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=False
    ) as running:
        try:
            running.stdout.readline()
            lock.release()
            assert is_free(tmp_path)
        finally:
            running.kill()


def test_a_count_below_one_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        take(DEVICES, tmp_path, count=0)
