"""The alerts for the Prometheus operator: `python -m lorayard_cli.monitoring.rules_resource [ROOT]` makes
deploy/kubernetes/components/monitoring/rules.yaml of them.

ROOT is the address at which a browser reads this repository: links to the runbook begin with it.
"""

from __future__ import annotations

import sys

from lorayard_cli.monitoring.alert import rules_file
from lorayard_cli.monitoring.alerts import ALERTS

_HEAD = """\
# Made from cli/lorayard_cli/monitoring/alerts.py: python -m lorayard_cli.monitoring.rules_resource
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: yard
  namespace: lorayard
spec:
"""


def rules_resource(root: str = "") -> str:
    """What Prometheus reads as a file, as a resource."""
    _, *lines = rules_file(ALERTS, root).splitlines()
    return _HEAD + "".join(f"  {line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(rules_resource(*sys.argv[1:2]))
