"""The fleet at a glance: is all well, who works, who waits, what does it cost."""

from __future__ import annotations

from panels import (
    BAD,
    FAIR,
    OUTCOMES,
    VERDICTS,
    Column,
    Dashboard,
    Query,
    areas,
    choice,
    datasource,
    lines,
    number,
    table,
)

JOB = '{job="$job"}'
SICK = 'sum(gridq:gpus:count{job="$job", verdict=~"unhealthy|unknown"})'

NOW = [
    number("GPUs", f"sum(gridq:gpus:count{JOB})", "All GPUs whose workers live."),
    number("GPUs that take no work", SICK, "Unhealthy or unknown. gridq gpus gives the reasons.", steps={1: BAD}),
    number("Workers", f"count(max by (node, worker) (gridq_worker_info{JOB}))", "Workers with a lease."),
    number("Running", f"max(gridq_tasks_running{JOB})", "Tasks that run now."),
    number("Waiting", f"sum(gridq:tasks_waiting:max{JOB})", "Tasks in all queues."),
    number(
        "Oldest waiting",
        f"max(gridq:tasks_waiting_oldest:seconds{JOB})",
        "How long the oldest task in any queue has waited. gridq explain says why.",
        unit="s",
        steps={300: FAIR, 1800: BAD},
    ),
    number("Dead letters", f"max(gridq_dead_letters{JOB})", "gridq dead list says which and why.", steps={1: BAD}),
    number(
        "Broker round trip",
        f"max(gridq_broker_round_trip_seconds{JOB})",
        "How long Redis takes to answer the exporter.",
        unit="s",
        steps={0.02: FAIR, 0.1: BAD},
    ),
]

TASKS = [
    areas("GPUs by verdict", [Query(f"sum by (verdict) (gridq:gpus:count{JOB})", "{{verdict}}")],
          "Healthy and degraded ones take work.", colors=VERDICTS),
    areas("Waiting by queue", [Query(f"sum by (queue) (gridq:tasks_waiting:max{JOB}) > 0", "{{queue}}")],
          "A queue's name says what its tasks need: gpu.24g is a GPU with up to 24 GiB free."),
    areas("Tasks that end", [Query(f"sum by (outcome) (gridq:tasks_completed:rate5m{JOB})", "{{outcome}}")],
          "By outcome.", unit="ops", colors=OUTCOMES),
    lines("Time until start", [Query(f"gridq:task_wait_seconds:p50{JOB}", "half of the tasks within"),
                               Query(f"gridq:task_wait_seconds:p95{JOB}", "95 % within")],
          "From being sent to being started.", unit="s"),
]  # fmt: skip

HARDWARE = [
    lines("Utilization by node", [Query(f"gridq:node_gpu_utilization:avg{JOB}", "{{node}}")],
          "Share of the time in which some kernel ran, mean of the node's GPUs.", unit="percentunit"),
    lines("Memory of all GPUs", [Query(f"sum(gridq:node_gpu_memory_used:sum{JOB})", "in use"),
                                 Query(f"sum(gridq:node_gpu_memory_total:sum{JOB})", "in all")],
          "Whoever uses it.", unit="bytes"),
    areas("Power by node", [Query(f"gridq:node_gpu_power:sum{JOB}", "{{node}}")],
          "What the GPUs draw, where their driver says it.", unit="watt"),
    lines("GPUs idle while work waits",
          [Query(f"sum by (node) (gridq:gpu_idle_while_waiting:ratio_rate5m{JOB})", "{{node}}")],
          "How many GPUs on average took work and ran nothing, while tasks waited in their queues. Should be zero."),
]  # fmt: skip

BROKER = [
    lines("Round trip to the broker",
          [Query(f"max(gridq_broker_round_trip_seconds{JOB})", "exporter"),
           Query(f"max(gridq_worker_broker_round_trip_seconds{JOB})", "slowest worker"),
           Query(f"gridq:router_decision_seconds:p95{JOB}", "placing a task, 95 % within")],
          "Every task needs a few round trips.", unit="s"),
    lines("Lost and done again",
          [Query(f"max(increase(gridq_leases_expired_total{JOB}[$__rate_interval]))", "leases that ended"),
           Query(f"sum(max by (cause) (increase(gridq_requeues_total{JOB}[$__rate_interval])))", "tasks queued again")],
          "Workers that were lost, and tasks that had to start again."),
]  # fmt: skip

# Where no exporter is known at all, the alert that says so names no fleet.
FIRING = (
    "max by (alertname, severity, node, worker, uuid, queue, task) "
    '(ALERTS{alertname=~"Gridq.*", alertstate="firing", job=~"$job|"})'
)
ALERTS = table(
    "Alerts that fire",
    [Column("Alert", label="alertname"), Column("Severity", label="severity"), Column("Node", label="node"),
     Column("Worker", label="worker"), Column("GPU", label="uuid"), Column("Queue", label="queue"),
     Column("Task", label="task"), Column("Fires", FIRING)],
    "What each of them means and what to do: docs/alerts.md.",
    height=6,
)  # fmt: skip

NODES = table(
    "Nodes",
    [
        Column("Node", label="node"),
        Column("Workers", f"count by (node) (max by (node, worker) (gridq_worker_info{JOB}))"),
        Column("GPUs", f"count by (node) (max by (node, uuid) (gridq_gpu_info{JOB}))"),
        Column("Healthy", 'sum by (node) (gridq:gpu_verdict:max{job="$job", verdict="healthy"})'),
        Column("Running", f"sum by (node) (max by (node, worker) (gridq_worker_slots_used{JOB}))"),
        Column("Slots", f"sum by (node) (max by (node, worker) (gridq_worker_slots{JOB}))"),
        Column("Utilization", f"max by (node) (gridq:node_gpu_utilization:avg{JOB})", "percentunit"),
        Column("Memory", f"max by (node) (gridq:node_gpu_memory_used:sum{JOB} / gridq:node_gpu_memory_total:sum{JOB})",
               "percentunit"),
        Column("Below the limit", f"min by (node) (gridq:gpu_temperature_margin:celsius{JOB})", "celsius"),
        Column("Power", f"max by (node) (gridq:node_gpu_power:sum{JOB})", "watt"),
        Column("CPU load", f"max by (node) (gridq_node_cpu_load_ratio{JOB})", "percentunit"),
    ],
    "The hottest GPU of a node is so far below the temperature at which it slows down.",
)  # fmt: skip

WORKERS = table(
    "Workers",
    [
        Column("Worker", label="worker"),
        Column("Version", label="version"),
        Column("Running", f"max by (worker) (gridq_worker_slots_used{JOB})"),
        Column("Slots", f"max by (worker) (gridq_worker_slots{JOB})"),
        Column("Drained", f"max by (worker) (gridq_worker_draining{JOB})", "bool_yes_no"),
        Column("Heartbeat's age", f"max by (worker) (gridq_worker_heartbeat_age_seconds{JOB})", "s"),
        Column("Round trip", f"max by (worker) (gridq_worker_broker_round_trip_seconds{JOB})", "s"),
        Column("Lives", f"max by (worker, version) (gridq_worker_info{JOB})", "bool_yes_no"),
    ],
    "A worker's row vanishes with its lease.",
)

DASHBOARD = Dashboard(
    uid="gridq-fleet",
    title="gridq / fleet",
    description="Is all well, who works, who waits.",
    variables=[datasource(), choice("job", "label_values(gridq_broker_up, job)", label="Fleet")],
    rows={
        "Now": [*NOW, ALERTS],
        "Tasks": TASKS,
        "Hardware": HARDWARE,
        "Nodes and workers": [NODES, WORKERS],
        "Broker": BROKER,
    },
)
