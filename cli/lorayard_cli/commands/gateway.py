"""`lorayard gateway`: one gateway process."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.loops import run_service
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, print_json
from lorayard_shared.logs import LevelName, configure_logs
from lorayard_shared.settings import read_settings


def gateway(
    *,
    host: str | None = None,
    port: int | None = None,
    no_keys: Annotated[bool, Parameter(negative="")] = False,
    tenant: str | None = None,
    log_level: LevelName = "info",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Serve OpenAI's API over HTTP until SIGTERM or Ctrl-C; answers under way end first.

    Parameters
    ----------
    host
        To listen on; 127.0.0.1 when absent.
    port
        8080 when absent; 0 takes any free one.
    no_keys
        Ask for no keys. Only programs of this machine are served then.
    tenant
        With --no-keys: whose jobs they are.
    log_level
        debug, info, warning or error. With --json the log is JSON lines (on stderr).
    """
    from lorayard_gateway.process import run_gateway
    from lorayard_gateway.settings import GatewaySettings

    settings = read_settings(
        GatewaySettings,
        gateway_host=host,
        gateway_port=port,
        gateway_keys=False if no_keys else None,
        tenant=tenant,
        **yard.given(),
    )
    configure_logs(as_json=output.json, level=log_level)

    def tell(url: str) -> None:
        if output.json:
            print_json({"event": "listening", "url": url, "keys": settings.gateway_keys})
        else:
            note(f"serving {url}/v1" + ("" if settings.gateway_keys else ", without keys"))

    run_service(run_gateway(settings, on_listening=tell))
