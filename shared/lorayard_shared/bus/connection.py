"""One connection to NATS that outlives its server, and says when it does not.

Each rule was paid for by an experiment: reconnect for ever, count what `error_cb`
reports (a denied publish shows nowhere else), and let every pull and watch start over on a reconnect.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nats
import nats.errors
from nats.js import JetStreamContext

from lorayard_schemas.subjects import Subjects
from lorayard_shared.bus.asked import NotPermittedError
from lorayard_shared.bus.nats_client import NatsClient
from lorayard_shared.bus_url import addresses
from lorayard_shared.errors import BusUnavailableError, SettingsError
from lorayard_shared.logs import Event, process_logger
from lorayard_shared.settings import YardSettings

RECONNECT_WAIT_SECONDS = 0.2
"""A restarted local server is back in well under a second, so waiting longer only delays the yard."""

NODE_SECONDS = 2
"""For one address of several until the next is tried: a machine that is off does not even refuse."""

AGAIN_SECONDS = 0.1
"""Until a cancel that was lost is said again."""

PENDING_BYTES = 64 * 2**20
"""Publishes kept while the server is away; beyond it a publish raises instead of growing for ever."""

NOT_ENABLED = 10039
"""What an account without streams is told."""

_INFO = "STREAM.INFO."
_DENIED = re.compile(r'permissions violation for publish to "([^"]+)"', re.IGNORECASE)
"""A server says so apart from the question, in lower case as nats-py tells it."""

JsonMap = dict[str, Any]


class ApiError(Exception):
    """JetStream's own refusal, with its code (`err_code`, as 10071)."""

    def __init__(self, *, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description


class Bus:
    """A connected client with the yard's names, recovery hooks and error count."""

    def __init__(self, nc: NatsClient, settings: YardSettings, name: str) -> None:
        self.nc = nc
        self.js: JetStreamContext = nc.jetstream()
        self.settings = settings
        self.subjects: Subjects = settings.subjects
        self.name = name
        self.errors = 0
        self.last_error: Exception | None = None
        self.disconnects = 0
        self.reconnects = 0
        self._hooks: list[Callable[[], Awaitable[None]]] = []
        self._log = process_logger(connection=name)
        self._silent = self._own_account = False
        self._salt = settings.message_salt.get_secret_value().encode() or None
        self._there = asyncio.Event()
        self._there.set()
        nc.is_order = self.subjects.is_order

    def message_id(self, name: str) -> str:
        """The `Nats-Msg-Id` for a message of that name: streams drop a second one with the same.

        All publishers of a stream share these, so whoever guesses one can have its message dropped.
        """
        return name if self._salt is None else hmac.new(self._salt, name.encode(), hashlib.sha256).hexdigest()

    @property
    def connected(self) -> bool:
        """Whether the server is there now."""
        return self.nc.is_connected

    async def returned(self, seconds: float) -> bool:
        """Whether the server is there, or comes back within so many seconds."""
        if not self.connected and not self.nc.is_closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._there.wait()
        return self.connected

    async def answers(self, seconds: float) -> bool:
        """Whether the server itself answers in that time, whatever else does not."""
        return self.connected and await self.nc.answers_ping(seconds)

    def on_reconnect(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Run the hook after every reconnect: standing pulls and watches do not survive one."""
        self._hooks.append(hook)

    async def api(self, verb: str, body: JsonMap | None = None, *, timeout_seconds: float = 5.0) -> JsonMap:
        """A JetStream API request, for what nats-py has no field for.

        Raises:
            ApiError: the server's refusal.
            nats.errors.Error: no answer.
        """
        payload = json.dumps(body).encode() if body is not None else b""
        stream = verb.removeprefix(_INFO) if verb.startswith(_INFO) else None
        if self._own_account and stream is not None:
            return await self._asked(self.subjects.info(stream), payload, timeout_seconds)
        try:
            return await self._asked(f"$JS.API.{verb}", payload, timeout_seconds)
        except (ApiError, NotPermittedError) as error:
            if stream is None or (isinstance(error, ApiError) and error.code != NOT_ENABLED):
                raise
        # The account has no streams, as a tenant's own: then a dispatcher tells of the yard's.
        self._own_account = True
        return await self._asked(self.subjects.info(stream), payload, timeout_seconds)

    async def _asked(self, subject: str, payload: bytes, seconds: float) -> JsonMap:
        reply = await self.nc.request(subject, payload, timeout=seconds)
        answer: JsonMap = json.loads(reply.data)
        if error := answer.get("error"):
            raise ApiError(code=int(error.get("err_code", 0)), description=str(error.get("description", "")))
        return answer

    async def close(self) -> None:
        """Send what is pending, then close."""
        self._silent = True
        with suppress(nats.errors.Error, asyncio.TimeoutError, OSError):
            if self.nc.is_connected:
                await asyncio.wait_for(self.nc.flush(), 2.0)
        # A RuntimeError: uvloop's, where the server is away and something is left to send.
        with suppress(nats.errors.Error, OSError, RuntimeError):
            await self.nc.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _on_error(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = error
        if (denied := _DENIED.search(str(error))) is not None:
            self.nc.deny(denied[1])
        if not self._silent:
            self._log.debug(Event.BUS_FAILED, error=str(error), kind=type(error).__name__)

    async def _on_disconnect(self) -> None:
        self.disconnects += 1
        self._there.clear()
        if not self._silent:
            self._log.warning(Event.BUS_DISCONNECTED)

    async def _on_reconnect(self) -> None:
        self.reconnects += 1
        self._there.set()
        self.nc.ask_again()
        self._log.info(Event.BUS_RECONNECTED, times=self.reconnects)
        for hook in self._hooks:
            await hook()


async def connect(settings: YardSettings, *, name: str) -> Bus:
    """Connect, or say at once that nobody is there.

    Raises:
        BusUnavailableError: no server at any of the addresses, or it refused the credentials.
        SettingsError: credentials or certificates cannot be read.
    """
    if settings.credentials_file is not None:
        check_credentials(settings.credentials_file)
    nc = NatsClient()
    bus = Bus(nc, settings, name)
    nodes = addresses(settings.url)
    seconds = settings.connect_timeout_seconds + NODE_SECONDS * (len(nodes) - 1)
    try:
        await _within(
            seconds,
            nc.connect(
                servers=nodes,
                name=name,
                user=settings.user,
                password=settings.password.get_secret_value() if settings.password else None,
                user_credentials=settings.credentials_file,
                tls=None if settings.tls_ca is None else trusting(settings.tls_ca),
                inbox_prefix=settings.inbox_prefix,
                error_cb=bus._on_error,  # pyright: ignore[reportPrivateUsage]  # one unit
                disconnected_cb=bus._on_disconnect,  # pyright: ignore[reportPrivateUsage]
                reconnected_cb=bus._on_reconnect,  # pyright: ignore[reportPrivateUsage]
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type]  # annotated int, used as float
                connect_timeout=NODE_SECONDS,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=PENDING_BYTES,
            ),
        )
    except (TimeoutError, OSError, nats.errors.Error) as error:
        await _abandon(nc)
        cause = bus.last_error or error
        silent = f"nothing within {seconds:g} s"
        reason = str(cause).removeprefix("nats: ") or silent
        if nc.wants_login and hung_up(cause):
            # A server that hangs up may do so faster than its last words are read.
            reason = f"it asks for authorization and hung up: {reason}"
        raise BusUnavailableError(url=settings.url, reason=reason) from error
    except asyncio.CancelledError:  # told to stop while still connecting
        await _abandon(nc)
        raise
    return bus


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Await it for so long; then it is cancelled until it ends.

    nats-py waits by `wait_for`, which loses a cancel that meets a result (cpython 86296), and goes on trying
    addresses for ever.

    Raises:
        TimeoutError: it took longer.
        OSError, nats.errors.Error: its own.
    """
    task = asyncio.create_task(work, name="connect")
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise TimeoutError
        await task
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=AGAIN_SECONDS)
        if not task.cancelled():
            task.exception()


def hung_up(cause: Exception) -> bool:
    """The other side ended the connection, by TLS or without; not that there was none, or no trust in it."""
    if isinstance(cause, ssl.SSLError):
        ended = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
        return isinstance(cause, ended) or "APPLICATION_DATA_AFTER_CLOSE_NOTIFY" in str(cause)
    return isinstance(cause, ConnectionError | nats.errors.UnexpectedEOF)


def check_credentials(file: str) -> None:
    """See that they can be read and used, before a server is asked.

    Raises:
        SettingsError: they cannot.
    """
    setting = "LORAYARD_CREDENTIALS_FILE"
    if find_spec("nkeys") is None:
        reason = "credentials need nkeys, which is not installed; run: pip install 'lorayard[nkeys]'"
        raise SettingsError(setting=setting, reason=reason)
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise SettingsError(setting=setting, reason=f"{file} cannot be read: {reason}") from error
    if not all(mark in text for mark in ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")):
        raise SettingsError(setting=setting, reason=f"{file} holds no credentials of a NATS user")


def trusting(authority: Path) -> ssl.SSLContext:
    """TLS with a server that this authority vouches for, and no other.

    Raises:
        SettingsError: the file holds no certificates.
    """
    try:
        return ssl.create_default_context(cafile=str(authority))
    except OSError as error:  # ssl.SSLError is one
        reason = f"{authority} cannot be used: {error.strerror or error}"
        raise SettingsError(setting="LORAYARD_TLS_CA", reason=reason) from error


async def _abandon(nc: NatsClient) -> None:
    with suppress(nats.errors.Error, OSError):
        await nc.close()
