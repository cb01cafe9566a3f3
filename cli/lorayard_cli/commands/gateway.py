"""`lorayard gateway`: one gateway process."""

from __future__ import annotations

from typing import Annotated, Literal

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
    page: Literal["off", "read", "operate"] | None = None,
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
    page
        Serve the page for operators under /ui/: only to look at, or also to act on. Off when absent.
    log_level
        debug, info, warning or error. With --json the log is JSON lines (on stderr).
    """
    from lorayard_gateway.process import run_gateway
    from lorayard_gateway.settings import GatewaySettings, PageMode

    settings = read_settings(
        GatewaySettings,
        gateway_host=host,
        gateway_port=port,
        gateway_keys=False if no_keys else None,
        tenant=tenant,
        gateway_page=page,
        **yard.given(),
    )
    configure_logs(as_json=output.json, level=log_level)

    def tell(url: str) -> None:
        if output.json:
            print_json({"event": "listening", "url": url, "keys": settings.gateway_keys})
        else:
            note(f"serving {url}/v1" + ("" if settings.gateway_keys else ", without keys"))
            if settings.gateway_page is not PageMode.OFF:
                note(f"the yard's page is {url}/ui/")

    run_service(run_gateway(settings, on_listening=tell))
