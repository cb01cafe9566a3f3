"""The gateway process: start, serve, stop.

Stopping is one sequence: no new connections, and `/readyz` says so; answers under way end, for
`gateway_drain_seconds`; what is left is told to go on elsewhere, its jobs untouched; the connection closes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog
import uvicorn

from lorayard.view.service import snapshots_served
from lorayard_gateway.app import make_app
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.patient_protocol import protocol_with
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.bus.connection import connect
from lorayard_shared.errors import SettingsError
from lorayard_shared.heap import settle_heap
from lorayard_shared.logs import Event
from lorayard_shared.metrics.server import metrics_served
from lorayard_shared.process import StoppedError, run_until, stop_on_signals, unless_stopped

LAST_SECONDS = 5.0
"""For what was told to go, until it has gone."""

MAX_HEAD_BYTES = 64 * 1024

OnListening = Callable[[str], None]


def _unheard(_url: str) -> None:
    """Stand in for an absent listener."""


class Server(uvicorn.Server):
    """Leaves signals to the process that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


async def run_gateway(
    settings: GatewaySettings,
    *,
    stop: asyncio.Event | None = None,
    on_listening: OnListening = _unheard,
) -> None:
    """Run until SIGTERM, SIGINT or `stop`; `on_listening` is told the address.

    Raises:
        SettingsError: it would let strangers in, or the port is taken.
        BusUnavailableError: no server at the address.
    """
    settings.check()
    stop = stop or stop_on_signals()
    log = structlog.get_logger()
    listening = bind(settings)
    with listening, suppress(StoppedError):
        async with await unless_stopped(stop, connect(settings, name="gateway")) as bus:
            gateway = Gateway(bus, settings)
            try:
                await unless_stopped(stop, gateway.start())
                async with (
                    metrics_served(settings, gateway.metrics),
                    snapshots_served(bus, host="gateway", serving=gateway.snapshots, faults=gateway.faults),
                    serving(gateway, listening) as server,
                ):
                    settle_heap()
                    url = address(listening)
                    log.info(Event.PROCESS_STARTED, url=url, keys=settings.gateway_keys)
                    on_listening(url)
                    await run_until(stop, [server, *gateway.watching])
            finally:
                await gateway.close()
    log.info(Event.PROCESS_STOPPED)


def bind(settings: GatewaySettings) -> socket.socket:
    """The socket, so that a taken port is told before anything is started.

    Raises:
        SettingsError: it cannot be had.
    """
    host = settings.gateway_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, settings.gateway_port))
    except OSError as error:
        listening.close()
        reason = f"{host}:{settings.gateway_port}: {error.strerror or error}"
        at_fault = "HOST" if isinstance(error, socket.gaierror) else "PORT"
        raise SettingsError(setting=f"LORAYARD_GATEWAY_{at_fault}", reason=reason) from error
    return listening


@asynccontextmanager
async def serving(gateway: Gateway, listening: socket.socket) -> AsyncGenerator[asyncio.Task[None]]:
    """Serve a gateway on a socket; at the end, as the module says."""
    server = Server(_config(gateway))
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield task
    finally:
        gateway.stopping = True
        server.should_exit = True
        leaving = asyncio.get_running_loop().call_later(gateway.settings.gateway_drain_seconds, gateway.leave)
        try:
            await asyncio.wait({task})
        finally:
            leaving.cancel()


def _config(gateway: Gateway) -> uvicorn.Config:
    settings = gateway.settings
    return uvicorn.Config(
        make_app(gateway),
        http=protocol_with(
            header_seconds=settings.gateway_header_seconds,
            send_seconds=settings.gateway_send_seconds,
            most=settings.gateway_max_connections,
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # what strangers send is no news
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here goes by a client's address
        timeout_keep_alive=settings.gateway_idle_seconds,
        timeout_graceful_shutdown=int(settings.gateway_drain_seconds + LAST_SECONDS),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


def address(listening: socket.socket) -> str:
    """Where clients find it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
