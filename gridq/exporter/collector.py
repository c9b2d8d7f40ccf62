"""From a look at the store to the families of the metrics table. Pure: nothing is kept between two looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from gridq.exporter.look import Look
from gridq.exporter.metrics import TABLE, Kind, Metric
from gridq.gpu.health import State
from gridq.queues import size_of
from gridq.store.counters import Counters, Histogram
from gridq.store.queues import Queue
from gridq.store.workers import GpuStatus, WorkerStatus

_KINDS = {Kind.COUNTER: CounterMetricFamily, Kind.GAUGE: GaugeMetricFamily, Kind.HISTOGRAM: HistogramMetricFamily}
_VERDICTS = tuple(state.value for state in State)

#: Series of one family that are the same counter in the store, by the first part of its key.
_COUNTS = {
    "submitted": "gridq_tasks_submitted_total",
    "retried": "gridq_tasks_retried_total",
    "completed": "gridq_tasks_completed_total",
    "claims": "gridq_claims_total",
    "requeues": "gridq_requeues_total",
    "dead": "gridq_dead_letters_total",
    "leases_expired": "gridq_leases_expired_total",
}
_HISTOGRAMS = {
    "wait": "gridq_task_wait_seconds",
    "run": "gridq_task_run_seconds",
    "decision": "gridq_router_decision_seconds",
}
_OUTCOMES = ("done", "failed", "cancelled", "dead")
#: What the reading of a GPU says, by the attribute that has it.
_READINGS = {
    "memory_used": "gridq_gpu_memory_used_bytes",
    "utilization": "gridq_gpu_utilization_ratio",
    "temperature": "gridq_gpu_temperature_celsius",
    "temperature_limit": "gridq_gpu_temperature_limit_celsius",
    "power": "gridq_gpu_power_watts",
    "power_limit": "gridq_gpu_power_limit_watts",
    "ecc_uncorrected": "gridq_gpu_ecc_uncorrected_errors_total",
}


class Families:
    """The families of the table, being filled."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {metric.name: _family(metric) for metric in TABLE}

    def add(self, name: str, value: float | None, *labels: str) -> None:
        """One series, its labels in the table's order; what is not known (None) has none."""
        if value is not None:
            self._families[name].add_metric(labels, value)  # type: ignore[attr-defined]

    def add_histogram(self, name: str, histogram: Histogram, *labels: str) -> None:
        """The series of one histogram."""
        bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(histogram.buckets), strict=True))
        self._families[name].add_metric(labels, buckets, sum_value=histogram.sum)  # type: ignore[attr-defined]

    def filled(self) -> Iterator[Family]:
        """Those that have a series, in the table's order."""
        return (family for family in self._families.values() if family.samples)


def _family(metric: Metric) -> Family:
    family: Family = _KINDS[metric.kind](metric.name, metric.help, labels=metric.labels)
    return family


def families(seen: Look | None, version: str) -> Iterator[Family]:
    """All that one scrape shows.

    Args:
        seen: the look; None when the broker did not answer.
        version: of gridq.
    """
    made = Families()
    made.add("gridq_build_info", 1, version)
    made.add("gridq_broker_up", 0 if seen is None else 1)
    if seen is not None:
        made.add("gridq_broker_round_trip_seconds", seen.round_trip)
        made.add("gridq_scrape_seconds", seen.seconds)
        _add_states(made, seen.states)
        _add_counters(made, seen.counters)
        _add_queues(made, seen.queues)
        _add_workers(made, seen.workers)
    return made.filled()


def _add_states(made: Families, states: Mapping[str, int]) -> None:
    for state, name in (
        ("running", "gridq_tasks_running"),
        ("delayed", "gridq_tasks_delayed"),
        ("dead", "gridq_dead_letters"),
    ):
        made.add(name, states.get(state, 0))


def _add_counters(made: Families, counters: Counters) -> None:
    # What has not happened yet is 0, not absent: else the first time would be no increase.
    tasks = {key[1] for key in counters.counts if key[0] in ("submitted", "completed")}
    zeros = [("claims",), ("dead",), ("leases_expired",), *(("submitted", task) for task in tasks)]
    zeros += [("completed", task, outcome) for task in tasks for outcome in _OUTCOMES]
    for (kind, *labels), count in sorted((dict.fromkeys(zeros, 0) | counters.counts).items()):
        if name := _COUNTS.get(kind):
            made.add(name, count, *labels)
    for (kind, task), histogram in counters.histograms.items():
        if name := _HISTOGRAMS.get(kind):
            made.add_histogram(name, histogram, *([task] if task else []))


def _add_queues(made: Families, queues: Iterable[Queue]) -> None:
    for queue in queues:
        # Those of one worker or node are more than all others together, and almost always empty.
        if "@" in queue.name and not queue.waiting:
            continue
        labels = queue.name, size_of(queue.name)
        made.add("gridq_tasks_waiting", queue.waiting, *labels)
        made.add("gridq_tasks_waiting_oldest_seconds", queue.oldest if queue.waiting else 0.0, *labels)
        made.add("gridq_queue_consumers", queue.consumers, *labels)


def _add_workers(made: Families, workers: Iterable[WorkerStatus]) -> None:
    loads: dict[str, float] = {}
    holders: dict[tuple[str, str], tuple[WorkerStatus, GpuStatus]] = {}
    for worker in sorted(workers, key=lambda worker: -worker.age):
        labels = worker.name, worker.node
        loads[worker.node] = max(worker.cpu_load, loads.get(worker.node, 0.0))
        made.add("gridq_worker_info", 1, *labels, worker.version)
        made.add("gridq_worker_slots", worker.slots, *labels)
        made.add("gridq_worker_slots_used", len(worker.running), *labels)
        made.add("gridq_worker_draining", int(worker.draining), *labels)
        made.add("gridq_worker_heartbeat_age_seconds", worker.age, *labels)
        made.add("gridq_worker_broker_round_trip_seconds", worker.round_trip, *labels)
        # A worker that comes back under another name shares its GPU with its former self until that one's lease ends.
        holders.update({(gpu.device.uuid, worker.node): (worker, gpu) for gpu in worker.gpus})
    for holder, gpu in holders.values():
        _add_gpu(made, holder, gpu)
    for node, load in loads.items():
        made.add("gridq_node_cpu_load_ratio", load, node)


def _add_gpu(made: Families, worker: WorkerStatus, gpu: GpuStatus) -> None:
    device, labels = gpu.device, (gpu.device.uuid, worker.node)
    made.add("gridq_gpu_info", 1, *labels, str(device.index), device.model, device.driver, worker.name)
    for verdict in _VERDICTS:
        made.add("gridq_gpu_verdict", int(gpu.verdict.state == verdict), *labels, verdict)
    made.add("gridq_gpu_score", worker.score, *labels)
    # 0 stands for a driver that does not say it.
    made.add("gridq_gpu_memory_total_bytes", device.memory_total or None, *labels)
    made.add("gridq_gpu_memory_foreign_bytes", gpu.foreign, *labels)
    # Of a silent GPU the last reading may be days old: it says nothing of now.
    if gpu.reading is not None and gpu.verdict.state is not State.UNKNOWN:
        for attribute, name in _READINGS.items():
            made.add(name, getattr(gpu.reading, attribute), *labels)
    for xid, count in gpu.xids.items():
        made.add("gridq_gpu_xid_errors_total", count, *labels, xid)
    made.add("gridq_gpu_slots", worker.slots, *labels)
    made.add("gridq_gpu_slots_used", len(worker.running), *labels)
    made.add("gridq_gpu_idle_while_waiting_seconds_total", worker.idle_while_waiting, *labels)
