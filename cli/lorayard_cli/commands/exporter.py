"""`lorayard exporter`: metrics of what is on the bus."""

from __future__ import annotations

from lorayard_cli.loops import run_service
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_shared.logs import LevelName, configure_logs
from lorayard_shared.settings import YardSettings, read_settings

PORT = 9464
"""OpenTelemetry's usual one for Prometheus."""


def exporter(
    *,
    port: int | None = None,
    host: str | None = None,
    log_level: LevelName = "info",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Show metrics of the streams until SIGTERM or Ctrl-C, whichever other process of the yard lives.

    Parameters
    ----------
    port
        LORAYARD_METRICS_PORT when absent, else 9464; 0 takes any free one.
    host
        To listen on; LORAYARD_METRICS_HOST when absent, else 127.0.0.1.
    log_level
        debug, info, warning or error. With --json the log is JSON lines (on stderr).
    """
    from lorayard_cli.exporter.process import run_exporter

    settings = read_settings(YardSettings, metrics_port=port, metrics_host=host, **yard.given())
    if settings.metrics_port is None:
        settings = settings.model_copy(update={"metrics_port": PORT})
    configure_logs(as_json=output.json, level=log_level)
    run_service(run_exporter(settings))
