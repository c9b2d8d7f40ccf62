"""Each GPU over time: what it did, how it was, and who had it."""

from __future__ import annotations

from panels import VERDICTS, Column, Dashboard, Query, areas, choice, choices, datasource, lines, states, table, text

GPU = '{job="$job", node=~"$node", uuid=~"$uuid"}'
NAME = "{{node}} {{uuid}}"


def each(metric: str, legend: str = NAME) -> Query:
    """A gauge of each GPU, once however many exporters tell it."""
    return Query(f"max by (node, uuid) ({metric}{GPU})", legend)


def verdict(name: str) -> str:
    """1 where a GPU has this verdict."""
    return f'gridq:gpu_verdict:max{{job="$job", node=~"$node", uuid=~"$uuid", verdict="{name}"}}'


NUMBERED = " or ".join(f"{place} * {verdict(name)}" for place, name in enumerate(VERDICTS))

WHO = table(
    "GPUs",
    [
        Column("Node", label="node"),
        Column("Index", label="index"),
        Column("Model", label="model"),
        Column("Driver", label="driver"),
        Column("Worker", label="worker"),
        Column("UUID", label="uuid"),
        Column("Running", each("gridq_gpu_slots_used").expression),
        Column("Slots", each("gridq_gpu_slots").expression),
        Column("Score", each("gridq_gpu_score").expression),
        Column("Memory", each("gridq:gpu_memory_used:ratio").expression, "percentunit"),
        Column("Foreign", each("gridq_gpu_memory_foreign_bytes").expression, "bytes"),
        Column("Temperature", each("gridq_gpu_temperature_celsius").expression, "celsius"),
        Column("ECC errors", each("gridq_gpu_ecc_uncorrected_errors_total").expression),
        Column("Seen", f"max by (node, index, model, driver, worker, uuid) (gridq_gpu_info{GPU})", "bool_yes_no"),
    ],
    "The lightest worker (the lowest score) gets the next task. What a driver does not say is empty.",
)
COURSE = states(
    "Verdict",
    Query(f"sum by (node, uuid) ({NUMBERED})", NAME),
    "Nothing: no worker had it.",
    names=VERDICTS,
)

USE = [
    lines("Utilization", [each("gridq_gpu_utilization_ratio")],
          "Share of the time in which some kernel ran.", unit="percentunit"),
    lines("Slots used", [each("gridq_gpu_slots_used")], "Tasks on the GPU."),
    lines("Memory in use", [each("gridq_gpu_memory_used_bytes")], "Whoever uses it.", unit="bytes"),
    lines("Foreign memory", [each("gridq_gpu_memory_foreign_bytes")],
          "What processes use that are not gridq's.", unit="bytes"),
    lines("Idle while work waits", [Query(f"gridq:gpu_idle_while_waiting:ratio_rate5m{GPU}", NAME)],
          "Share of the time in which it took work and ran nothing, while tasks waited in its worker's queues.",
          unit="percentunit"),
    lines("Score", [each("gridq_gpu_score")], "How heavy the GPU's worker is: the lightest gets the next task."),
]  # fmt: skip

BODY = [
    lines("Temperature and its limit", [each("gridq_gpu_temperature_celsius"),
                                        each("gridq_gpu_temperature_limit_celsius", f"limit of {NAME}")],
          "At the limit the card slows itself down, and gridq gives it no work.", unit="celsius"),
    lines("Power and its limit", [each("gridq_gpu_power_watts"),
                                  each("gridq_gpu_power_limit_watts", f"limit of {NAME}")],
          "Where the driver says it.", unit="watt"),
    areas("XID errors",
          [Query(f"max by (node, uuid, xid) (increase(gridq_gpu_xid_errors_total{GPU}[$__rate_interval])) > 0",
                 f"XID {{{{xid}}}} on {NAME}")],
          "What each number means: docs/hardware.md."),
    areas("Uncorrected memory errors (ECC)",
          [Query(f"max by (node, uuid) (increase(gridq_gpu_ecc_uncorrected_errors_total{GPU}[$__rate_interval])) > 0",
                 NAME)],
          "Double-bit errors."),
]  # fmt: skip

DCGM = text(
    "With DCGM's exporter",
    "DCGM's series have the same UUIDs, in the label `UUID`. What a worker's GPU does in detail:\n\n"
    "```\nDCGM_FI_PROF_SM_ACTIVE * on (UUID) group_left (worker, node)\n"
    '  label_replace(gridq_gpu_info, "UUID", "$1", "uuid", "(.+)")\n```\n',
)

DASHBOARD = Dashboard(
    uid="gridq-gpu",
    title="gridq / GPU",
    description="What each GPU did, how it was, and who had it.",
    variables=[
        datasource(),
        choice("job", "label_values(gridq_broker_up, job)", label="Fleet"),
        choices("node", 'label_values(gridq_gpu_info{job="$job"}, node)', label="Node"),
        choices("uuid", 'label_values(gridq_gpu_info{job="$job", node=~"$node"}, uuid)', label="GPU"),
    ],
    rows={"GPUs": [WHO, COURSE], "Use": USE, "Body": BODY, "Joins": [DCGM]},
)
