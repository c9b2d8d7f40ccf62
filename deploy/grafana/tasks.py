"""Tasks by name and by queue: how many, how long they wait and run, what fails."""

from __future__ import annotations

from panels import OUTCOMES, Column, Dashboard, Query, areas, choice, choices, datasource, heatmap, lines, table

JOB = '{job="$job"}'
TASK = '{job="$job", task=~"$task"}'


def quantile(share: float, what: str) -> str:
    """By task: so many of them took at most so many seconds."""
    return f"histogram_quantile({share}, sum by (task, le) (gridq:task_{what}_seconds_bucket:rate5m{TASK}))"


RATES = [
    areas("Sent", [Query(f"sum by (task) (gridq:tasks_submitted:rate5m{TASK})", "{{task}}")],
          "Tasks published, by name.", unit="ops"),
    areas("Ended", [Query(f"sum by (outcome) (gridq:tasks_completed:rate5m{TASK})", "{{outcome}}")],
          "By outcome.", unit="ops", colors=OUTCOMES),
    lines("Failures", [Query(f"gridq:tasks_failed:ratio15m{TASK} > 0", "{{task}}")],
          "Share of those that ended within 15 minutes; cancelled ones do not count.", unit="percentunit"),
    areas("Ended by name", [Query(f"sum by (task) (gridq:tasks_completed:rate5m{TASK})", "{{task}}")],
          "Whatever their outcome.", unit="ops"),
]  # fmt: skip

TIMES = [
    lines("Time until start", [Query(quantile(share, "wait"), f"{{{{task}}}} {label}")
                               for share, label in ((0.5, "p50"), (0.95, "p95"))],
          "From being sent to being started.", unit="s"),
    lines("Run time", [Query(quantile(share, "run"), f"{{{{task}}}} {label}")
                       for share, label in ((0.5, "p50"), (0.95, "p95"))],
          "From start to end.", unit="s"),
    heatmap("Time until start", f"sum by (le) (gridq:task_wait_seconds_bucket:rate5m{TASK})",
            "Every task that started, by how long it had waited."),
    heatmap("Run time", f"sum by (le) (gridq:task_run_seconds_bucket:rate5m{TASK})",
            "Every task that ended, by how long it ran."),
]  # fmt: skip

BY_NAME = table(
    "By name",
    [
        Column("Task", label="task"),
        Column("Sent per second", f"sum by (task) (gridq:tasks_submitted:rate5m{TASK})", "ops"),
        Column("Ended per second", f"sum by (task) (gridq:tasks_completed:rate5m{TASK})", "ops"),
        Column("Failed", f"sum by (task) (gridq:tasks_failed:ratio15m{TASK})", "percentunit"),
        Column("Waits (p50)", quantile(0.5, "wait"), "s"),
        Column("Waits (p95)", quantile(0.95, "wait"), "s"),
        Column("Runs (p50)", quantile(0.5, "run"), "s"),
        Column("Runs (p95)", quantile(0.95, "run"), "s"),
    ],
    "Within the last minutes.",
)

QUEUES = [
    areas("Waiting", [Query(f"sum by (queue) (gridq:tasks_waiting:max{JOB}) > 0", "{{queue}}")], "Tasks by queue."),
    lines("Oldest waiting", [Query(f"max by (queue) (gridq:tasks_waiting_oldest:seconds{JOB})", "{{queue}}")],
          "How long the first in each queue has waited.", unit="s"),
    lines("Workers that look into it", [Query(f"max by (queue) (gridq_queue_consumers{JOB})", "{{queue}}")],
          "Zero, and tasks wait there: they wait for ever. Drained workers do not count."),
    lines("Running and delayed", [Query(f"max(gridq_tasks_running{JOB})", "running"),
                                  Query(f"max(gridq_tasks_delayed{JOB})", "delayed (eta, retry)")],
          "All tasks of the fleet."),
]  # fmt: skip

TROUBLE = [
    areas("Queued again",
          [Query(f"max by (cause) (increase(gridq_requeues_total{JOB}[$__rate_interval]))", "{{cause}}")],
          "Started, and had to start again elsewhere, by cause."),
    areas("Retried",
          [Query(f"max by (task) (increase(gridq_tasks_retried_total{TASK}[$__rate_interval]))", "{{task}}")],
          "Failed, and sent again by their own retry."),
    lines("Dead letters", [Query(f"max(gridq_dead_letters{JOB})", "now"),
                           Query(f"max(increase(gridq_dead_letters_total{JOB}[$__rate_interval]))", "new")],
          "gridq dead list says which and why."),
    lines("Taken", [Query(f"max(rate(gridq_claims_total{JOB}[$__rate_interval]))", "claims")],
          "Tasks that workers took; more than those that end: some run more than once.", unit="ops"),
    lines("Placing a task", [Query(f"gridq:router_decision_seconds:p95{JOB}", "95 % within")],
          "What choosing a GPU adds to delay().", unit="s"),
]  # fmt: skip

DASHBOARD = Dashboard(
    uid="gridq-tasks",
    title="gridq / tasks",
    description="Tasks by name and by queue: how many, how long they wait and run, what fails.",
    variables=[
        datasource(),
        choice("job", "label_values(gridq_broker_up, job)", label="Fleet"),
        choices("task", 'label_values(gridq_tasks_submitted_total{job="$job"}, task)', label="Task"),
    ],
    rows={"By name": [BY_NAME, *RATES], "Times": TIMES, "Queues": QUEUES, "Trouble": TROUBLE},
)
