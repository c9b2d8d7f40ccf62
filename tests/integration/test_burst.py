"""Many publishers at once do not herd onto one GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet import Fleet, eventually

SEND = """
import sys, time, pathlib, shop
work, ready, go = shop.app.tasks["shop.work"], pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
shop.app.amqp.producer_pool, shop.app.tasks["shop.add"].backend  # Imports and connections, before the race begins.
with shop.app.connection_for_write() as connection:
    connection.ensure_connection()
ready.touch()
while not go.exists():
    time.sleep(0.001)
for _ in range(25):
    print(work.delay(0.2).id)
"""


@pytest.fixture(scope="module")
def eight(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    fleet = new_fleet("sim:8x24GiB", cpu_weight="0")
    try:
        fleet.start_gpu_workers(8, "-P", "solo")
        fleet.await_rested()
        yield fleet
    finally:
        fleet.stop()


def test_the_same_command_started_eight_times_at_once_takes_eight_gpus(eight: Fleet) -> None:
    living = eight.living()
    assert len(living) == 8
    assert {status.gpus[0].device.uuid for status in living.values()} == {device.uuid for device in eight.devices}
    assert set(living) == {f"gpu{index}@node1" for index in range(8)}


def test_a_burst_from_four_processes_spreads_over_all_idle_gpus(
    eight: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eight.await_rested()
    go = tmp_path / "go"
    senders = []
    for number in range(4):
        ready = tmp_path / f"ready{number}"
        sender = eight.run(f"sender{number}", "-c", SEND, str(ready), str(go))
        senders.append((sender, ready))
    for sender, ready in senders:
        eventually(lambda sender=sender, ready=ready: ready.exists() or sender.status == "exited", "senders are ready")
    go.touch()
    assert [sender.wait() for sender, _ in senders] == [0] * 4, [sender.logs() for sender, _ in senders]
    sent = [line for sender, _ in senders for line in sender.logs().split()]
    assert len(set(sent)) == 100
    eventually(lambda: len([run for run in eight.ledger.runs(sent) if run.end]) == 100, "all have run")
    runs = eight.ledger.runs(sent)
    shares = Counter(run.gpu for run in runs)
    first = {run.gpu for run in runs[:8]}
    with capsys.disabled():
        print(f"\n100 tasks in a burst on 8 idle GPUs: the first 8 went to {len(first)}, {sorted(shares.values())}")
    assert Counter(run.task for run in runs) == dict.fromkeys(sent, 1)
    assert len(first) == 8
    assert min(shares.values()) >= 4
