"""Grafana's boards of a yard; `python -m lorayard_cli.monitoring.boards` makes deploy/grafana/boards."""
