"""`lorayard dispatcher`: one dispatcher process."""

from __future__ import annotations

from lorayard_cli.loops import run_service
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_shared.logs import LevelName, configure_logs
from lorayard_shared.settings import read_settings


def dispatcher(
    *,
    name: str | None = None,
    default_adapter: str | None = None,
    log_level: LevelName = "info",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Run a dispatcher in the foreground until SIGTERM or Ctrl-C.

    Parameters
    ----------
    name
        Unique among dispatchers; made up when absent.
    default_adapter
        For jobs that name none; without it they are answered by the base model.
    log_level
        debug, info, warning or error. With --json the log is JSON lines (on stderr).
    """
    from lorayard_dispatcher.app import run_dispatcher
    from lorayard_dispatcher.settings import DispatcherSettings

    given = yard.given()
    settings = read_settings(DispatcherSettings, name=name, default_adapter=default_adapter, **given)
    configure_logs(as_json=output.json, level=log_level)
    run_service(run_dispatcher(settings))
