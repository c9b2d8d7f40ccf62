"""All findings by topic: the broker, the fleet, the app, this machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gridq.doctor import app, broker, fleet, machine
from gridq.doctor.app import App
from gridq.doctor.broker import Broker
from gridq.doctor.finding import Finding, Severity
from gridq.doctor.fleet import Fleet
from gridq.doctor.machine import Machine

_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE, Severity.OK)


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        findings: by topic, in the order in which they were looked at.
        has_broker: whether a broker answered; without one nothing is known of the fleet.
    """

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    has_broker: bool = True

    def add(self, facts: Broker | Fleet | App | Machine) -> None:
        """Look at these facts."""
        if isinstance(facts, Broker):
            self.findings["broker"] = list(broker.examine(facts))
        elif isinstance(facts, Fleet):
            self.findings["fleet"] = list(fleet.examine(facts))
        elif isinstance(facts, App):
            self.findings["app"] = list(app.examine(facts))
        else:
            self.findings["machine"] = list(machine.examine(facts))

    def broke_off(self, evidence: str, hint: str) -> None:
        """The broker did not answer, or refused what it was asked; what it said before stays."""
        found = self.findings.setdefault("broker", [])
        found.append(Finding("answer", evidence, Severity.ERROR, "a broker that answers", hint))

    @property
    def counts(self) -> Counter[Severity]:
        """How many findings there are of each severity."""
        return Counter(finding.severity for found in self.findings.values() for finding in found)

    @property
    def worst(self) -> Severity:
        """The worst severity found."""
        return next((severity for severity in _ORDER if self.counts[severity]), Severity.OK)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the keys are stable."""
        return {
            "worst": self.worst.value,
            "broker": self.has_broker,
            "counts": {severity.value: self.counts[severity] for severity in _ORDER},
            "findings": [
                {"topic": topic} | finding.to_dict() for topic, found in self.findings.items() for finding in found
            ],
        }
