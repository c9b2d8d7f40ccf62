"""The record of a task says on which GPU it ran and what it used of it."""

from __future__ import annotations

from pathlib import Path

from fleet import Fleet, eventually

from gridq.units import GIB


def test_a_record_says_which_gpu_it_ran_on_how_busy_that_was_and_its_peak_of_memory(
    grid: Fleet, signal_file: Path
) -> None:
    sent = grid.task("wait_for").apply_async([str(signal_file)], vram="40GiB")
    name = grid.await_state(sent.id, "running").worker

    def shown() -> bool:
        reading = grid.living()[name].gpus[0].reading
        return reading is not None and any(process.memory == 40 * GIB for process in reading.processes or ())

    eventually(shown, "a heartbeat shows the memory of the task")
    signal_file.touch()
    assert grid.results([sent])
    record = grid.await_state(sent.id, "done")
    assert record.gpus == tuple(gpu.device.uuid for gpu in grid.living()[name].gpus)
    assert record.peak_memory == 40 * GIB
    assert record.mean_utilization is not None and 0 <= record.mean_utilization <= 1
