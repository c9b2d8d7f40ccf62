"""The metrics table: every family that gridq shows Prometheus, with its kind, labels and meaning. A table, not code.

Base units, counters end in `_total`, no label that grows without bound: task names, queues, workers, nodes and GPUs are
what a fleet has; task ids and messages are in no label. What a driver does not say is an absent series, and the series
of a worker or a GPU end with its lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus' types, as far as gridq uses them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family.

    Attributes:
        name: whole, with its unit and a counter's `_total`.
        kind: Prometheus' type.
        help: what it says, one sentence.
        labels: names of the labels that each of its series has.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_TASK = ("task",)
_QUEUE = ("queue", "class")
_WORKER = ("worker", "node")
_GPU = ("uuid", "node")

EXPORTER = (
    Metric("gridq_build_info", _GAUGE, "1; the label says the exporter's version of gridq.", ("version",)),
    Metric("gridq_broker_up", _GAUGE, "1 if the broker answered this scrape, else 0, and nothing else is known."),
    Metric("gridq_broker_round_trip_seconds", _GAUGE, "How long the broker took to answer the exporter."),
    Metric("gridq_scrape_seconds", _GAUGE, "How long this look at the broker took."),
)

TASKS = (
    Metric("gridq_tasks_submitted_total", _COUNTER, "Tasks that were published.", _TASK),
    Metric(
        "gridq_tasks_completed_total",
        _COUNTER,
        "Tasks that ended, by outcome: done, failed, cancelled, dead.",
        (*_TASK, "outcome"),
    ),
    Metric("gridq_tasks_retried_total", _COUNTER, "Tasks that were published again by a retry of their own.", _TASK),
    Metric("gridq_tasks_running", _GAUGE, "Tasks that run now."),
    Metric("gridq_tasks_delayed", _GAUGE, "Tasks that wait for an eta or a retry."),
    Metric("gridq_task_wait_seconds", _HISTOGRAM, "How long tasks waited until they started.", _TASK),
    Metric("gridq_task_run_seconds", _HISTOGRAM, "How long tasks ran until they ended.", _TASK),
    Metric("gridq_dead_letters", _GAUGE, "Dead letters that nobody has retried or dropped yet."),
    Metric("gridq_dead_letters_total", _COUNTER, "Tasks that became dead letters."),
    Metric("gridq_claims_total", _COUNTER, "Tasks that workers took."),
    Metric("gridq_requeues_total", _COUNTER, "Tasks that went back to their queues, by cause.", ("cause",)),
    Metric("gridq_leases_expired_total", _COUNTER, "Workers that were lost: their leases ended without a renewal."),
    Metric("gridq_router_decision_seconds", _HISTOGRAM, "How long the router took to decide where a task goes."),
)

QUEUES = (
    Metric("gridq_tasks_waiting", _GAUGE, "Tasks that wait in the queue.", _QUEUE),
    Metric("gridq_tasks_waiting_oldest_seconds", _GAUGE, "How long the first in the queue has waited.", _QUEUE),
    Metric("gridq_queue_consumers", _GAUGE, "Workers that look into the queue and are not drained.", _QUEUE),
)

WORKERS = (
    Metric("gridq_worker_info", _GAUGE, "1; the label says the worker's version of gridq.", (*_WORKER, "version")),
    Metric("gridq_worker_slots", _GAUGE, "How many tasks the worker can run at a time.", _WORKER),
    Metric("gridq_worker_slots_used", _GAUGE, "How many tasks the worker holds now.", _WORKER),
    Metric("gridq_worker_draining", _GAUGE, "1 if the worker finishes what it runs and takes no more.", _WORKER),
    Metric("gridq_worker_heartbeat_age_seconds", _GAUGE, "How old the worker's last heartbeat is.", _WORKER),
    Metric(
        "gridq_worker_broker_round_trip_seconds",
        _GAUGE,
        "How long the broker took to answer the worker's heartbeat before the last one.",
        _WORKER,
    ),
    Metric("gridq_node_cpu_load_ratio", _GAUGE, "Load average of the node per core.", ("node",)),
)

GPUS = (
    Metric(
        "gridq_gpu_info",
        _GAUGE,
        "1; the labels join these series with other exporters' by uuid.",
        (*_GPU, "index", "model", "driver", "worker"),
    ),
    Metric(
        "gridq_gpu_verdict",
        _GAUGE,
        "1 for the GPU's verdict, 0 for the others: healthy, degraded, unhealthy, unknown.",
        (*_GPU, "verdict"),
    ),
    Metric("gridq_gpu_score", _GAUGE, "How heavy the GPU's worker is; the lightest gets the next task.", _GPU),
    Metric("gridq_gpu_memory_used_bytes", _GAUGE, "GPU memory in use, whoever uses it.", _GPU),
    Metric("gridq_gpu_memory_total_bytes", _GAUGE, "GPU memory in all.", _GPU),
    Metric("gridq_gpu_memory_foreign_bytes", _GAUGE, "GPU memory that programs outside gridq use.", _GPU),
    Metric("gridq_gpu_utilization_ratio", _GAUGE, "Share of the last second in which some kernel ran, 0 to 1.", _GPU),
    Metric("gridq_gpu_temperature_celsius", _GAUGE, "Temperature of the GPU.", _GPU),
    Metric("gridq_gpu_temperature_limit_celsius", _GAUGE, "Temperature at which the GPU slows itself down.", _GPU),
    Metric("gridq_gpu_power_watts", _GAUGE, "Power that the GPU draws.", _GPU),
    Metric("gridq_gpu_power_limit_watts", _GAUGE, "Power that the GPU may draw.", _GPU),
    Metric("gridq_gpu_xid_errors_total", _COUNTER, "XID errors since the worker started, by number.", (*_GPU, "xid")),
    Metric(
        "gridq_gpu_ecc_uncorrected_errors_total", _COUNTER, "Memory errors that could not be corrected (ECC).", _GPU
    ),
    Metric("gridq_gpu_slots", _GAUGE, "How many tasks the GPU can run at a time.", _GPU),
    Metric("gridq_gpu_slots_used", _GAUGE, "How many tasks run on the GPU now.", _GPU),
    Metric(
        "gridq_gpu_idle_while_waiting_seconds_total",
        _COUNTER,
        "Time in which the GPU took work and ran nothing, while tasks waited in queues that its worker looks into.",
        _GPU,
    ),
)

TABLE = (*EXPORTER, *TASKS, *QUEUES, *WORKERS, *GPUS)
