"""One alert, and the file that Prometheus reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

RUNBOOK = "docs/runbook.md"
"""From the root of the repository."""

Severity = Literal["critical", "warning"]
"""`critical`: users are hurt now. `warning`: they soon are, or work is wasted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """When somebody should look, and at what."""

    name: str
    expr: str
    lasting: str
    """How long it must hold, as Prometheus writes times."""
    severity: Severity
    summary: str
    """With Prometheus' templates for labels and the value."""

    @property
    def runbook(self) -> str:
        """The section that says what to do."""
        return f"{RUNBOOK}#{self.name.lower()}"


def rules_file(alerts: Iterable[Alert], root: str = "") -> str:
    """The rules as YAML; `root` is where the repository can be read, as a link.

    Strings are written as JSON has them, which YAML reads alike.
    """
    before = f"{root.rstrip('/')}/" if root else ""
    lines = [
        "# Made from cli/lorayard_cli/monitoring/alerts.py: python -m lorayard_cli.monitoring.alerts",
        "groups:",
        "  - name: lorayard",
        "    rules:",
    ]
    for alert in alerts:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expr)}",
            f"        for: {alert.lasting}",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f"          summary: {json.dumps(alert.summary)}",
            f"          runbook_url: {json.dumps(before + alert.runbook)}",
        ]
    return "\n".join((*lines, ""))
