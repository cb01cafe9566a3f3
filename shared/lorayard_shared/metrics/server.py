"""`/metrics` of one process: read on its event loop, rendered and sent by a thread.

Nothing is imported, opened or counted where no port is set.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorayard_shared.bus.connection import Bus
from lorayard_shared.errors import SettingsError
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.metrics import declared
from lorayard_shared.metrics.exposition import CONTENT_TYPE, render
from lorayard_shared.metrics.metric import Source
from lorayard_shared.metrics.readings import Readings
from lorayard_shared.settings import YardSettings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

ANSWER_SECONDS = 2.0
"""For the event loop; a scrape's own usual limit is 10 s."""

HEALTH_SECONDS = 1.0
"""A check that waits longer is over by itself, as Kubernetes has it."""

SILENT = ("its event loop does not answer",)

_HEALTH = ("/healthz", "/readyz")

Read = Callable[[Readings], Awaitable[None] | None]
"""Puts what there is into the readings, on the event loop: to copy counters, not to compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """What a process shows."""

    source: Source
    name: str
    read: Read
    bus: Bus | None = None
    answer_seconds: float = ANSWER_SECONDS
    unready: Callable[[], Iterable[str]] = tuple
    """What keeps it from its work, in sentences; none: nothing. Asked for on its event loop."""

    async def missing(self) -> tuple[str, ...]:
        """The same, all of it."""
        return tuple(self.unready())

    async def readings(self) -> Readings:
        """All of it, now."""
        readings = Readings()
        readings.put(declared.PROCESS_ANSWERS, 1)
        self._about(readings)
        reading = self.read(readings)
        if reading is not None:
            await reading
        return readings

    def silent(self) -> Readings:
        """What can be told of a process whose event loop does not answer."""
        readings = Readings()
        readings.put(declared.PROCESS_ANSWERS, 0)
        self._about(readings)
        return readings

    def _about(self, readings: Readings) -> None:
        readings.put(declared.PROCESS_INFO, 1, self.source.value, self.name, _release())
        if (bus := self.bus) is not None:
            readings.put(declared.BUS_CONNECTED, bus.connected)
            readings.put(declared.BUS_RECONNECTS, bus.reconnects)
            readings.put(declared.BUS_DISCONNECTS, bus.disconnects)
            readings.put(declared.BUS_ERRORS, bus.errors)
            readings.put(declared.BUS_BUFFERED, bus.nc.pending_data_size)


@asynccontextmanager
async def metrics_served(
    settings: YardSettings, make_page: Callable[[], MetricsPage]
) -> AsyncGenerator[str | None]:
    """Serve a page while the body runs; its address, or None where no port is set: then nothing is made.

    Raises:
        SettingsError: the port cannot be had, or the extra `metrics` is not installed.
    """
    if settings.metrics_port is None:
        yield None
        return
    try:
        from prometheus_client import REGISTRY, generate_latest
    except ModuleNotFoundError as error:
        reason = "metrics need prometheus-client: pip install 'lorayard[metrics]'"
        raise SettingsError(setting="LORAYARD_METRICS_PORT", reason=reason) from error
    from lorayard_shared.metrics.http_server import HttpServer

    host, port = settings.metrics_host, settings.metrics_port
    app = _App(make_page(), asyncio.get_running_loop(), partial(generate_latest, REGISTRY))
    try:
        server = HttpServer(host, port, app)
    except OSError as error:
        reason = f"{host}:{port}: {error.strerror or error}"
        at_fault = "HOST" if isinstance(error, socket.gaierror) else "PORT"
        raise SettingsError(setting=f"LORAYARD_METRICS_{at_fault}", reason=reason) from error
    thread = threading.Thread(target=server.serve, name="metrics", daemon=True)
    thread.start()
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{server.server_port}/metrics"
    process_logger().info(Event.METRICS_SERVED, url=url)
    try:
        yield url
    finally:
        app.ended = True
        await asyncio.to_thread(server.shutdown)
        server.server_close()


class _App:
    """The WSGI application, on threads of the server."""

    def __init__(
        self, page: MetricsPage, loop: asyncio.AbstractEventLoop, interpreter: Callable[[], bytes]
    ) -> None:
        """`interpreter`: memory, processor time, files and garbage, as every Python process names them."""
        self._page, self._loop, self._interpreter = page, loop, interpreter
        self._rendering = threading.Lock()
        """One at a time: a crowd of scrapers must not crowd out the process."""
        self.ended = False

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] in _HEALTH:
            return self._health(environ["PATH_INFO"], start)
        if environ["PATH_INFO"] not in ("/metrics", "/"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics\n"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Type", "text/plain")])
            return [b"GET\n"]
        with self._rendering:
            body = render(self._read()).encode(errors="replace") + self._interpreter()
        start("200 OK", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [body] if environ["REQUEST_METHOD"] == "GET" else []

    def _health(self, path: str, start: StartResponse) -> Iterable[bytes]:
        """`/healthz`: the event loop answers. `/readyz`: and nothing keeps it from its work."""
        missing = self._missing()
        if path == "/healthz" and missing != SILENT:
            missing = ()
        body = json.dumps({"status": "unready" if missing else "ok", "missing": missing}).encode()
        status = "503 Service Unavailable" if missing else "200 OK"
        start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _missing(self) -> tuple[str, ...]:
        if self.ended or self._loop.is_closed():
            return SILENT
        asked = asyncio.run_coroutine_threadsafe(self._page.missing(), self._loop)
        try:
            return asked.result(HEALTH_SECONDS)
        except (TimeoutError, concurrent.futures.CancelledError):
            asked.cancel()
            return SILENT

    def _read(self) -> Readings:
        if self.ended or self._loop.is_closed():
            return self._page.silent()
        asked = asyncio.run_coroutine_threadsafe(self._page.readings(), self._loop)
        try:
            return asked.result(self._page.answer_seconds)
        except (TimeoutError, concurrent.futures.CancelledError):
            asked.cancel()
            return self._page.silent()


def _release() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lorayard")
    except PackageNotFoundError:  # a checkout that nobody installed
        return ""
