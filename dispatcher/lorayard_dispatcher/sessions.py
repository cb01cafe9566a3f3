"""Sessions of all tenants: read from the bucket at first sight, heard as they change, written after a turn.

A job without a session never comes here. One of a session that is not known waits for one read (a fraction of
a millisecond); a bucket that is gone or silent costs the session its memory and no job anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg

from lorayard_dispatcher.session import Session
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.logs import Event
from lorayard_shared.repeated import Repeated

REMEMBERED_SESSIONS = 100_000
"""About 60 MB; the longest unused are read again when they speak."""

READ_SECONDS = 1.0
"""A direct read takes 0.2 ms; a turn waits for a bus in trouble no longer."""
AGAIN_SECONDS = 2.0
"""A bucket that could not be read is asked no sooner: every turn would wait for it."""
AT_ONCE = 64
"""Reads and writes under way: more would only queue in this process."""
GAP_SECONDS = 0.05
"""Between two rounds of writes: turns within it are one."""
WRITE_SECONDS = 2.0
TELL_SECONDS = 10.0

Spawn = Callable[[Coroutine[object, object, object], str], None]
Found = Callable[[Iterable[str]], None]
"""Told the keys of the jobs whose session is known now."""


class Sessions:
    """One dispatcher's view of the bucket."""

    def __init__(self, bus: Bus, spawn: Spawn, on_found: Found) -> None:
        self._bus = bus
        self._spawn = spawn
        self._on_found = on_found
        self._ttl_seconds = float(bus.settings.session_ttl_seconds)
        bucket = bus.subjects.bucket("sessions")
        self._stream, self._prefix = f"KV_{bucket}", f"$KV.{bucket}."
        self._known: OrderedDict[str, Session] = OrderedDict()
        self._reading: dict[str, dict[str, None]] = {}
        """Key -> jobs that wait for it."""
        self._unread_until: float | None = None  # monotonic seconds
        self._to_write: dict[str, Session] = {}
        self._writing = False
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.reads = self.writes = self.failed = 0
        self.kept = self.moved = 0
        """Turns after the first that went to the worker of the one before, and to another."""
        self._failures = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)
        self._log = structlog.get_logger()

    @property
    def count(self) -> int:
        """Sessions in memory, also some that are over."""
        return len(self._known)

    async def listen(self) -> None:
        """Hear what other dispatchers write: a put is a plain publish, so this needs no consumer."""
        await self._bus.nc.subscribe(f"{self._prefix}>", cb=self._heard)
        self._bus.on_reconnect(self._reconnected)

    def get(self, tenant: str, name: str, job: str) -> Session | None:
        """A session, empty if it is new; None: it is being read, and `on_found` will name the job."""
        key = session_key(tenant, name)
        known = self._known.get(key)
        if known is None or known.is_over(time.time(), self._ttl_seconds):
            known = Session(tenant=tenant, name=name, readable=False)
        self._remember(key, known)  # from here on it is heard when another dispatcher writes it
        if known.readable or not self._may_read():
            return known
        waiting = self._reading.setdefault(key, {})
        if not waiting:
            self._spawn(self._read(key, known), f"session-{key}")
        waiting[job] = None
        return None

    def handed(self, session: Session, worker: str, tokens: float) -> None:
        """A turn was accepted by a worker; written soon, unless the bucket says so already."""
        now = time.time()
        if session.worker is not None:
            self.kept += session.worker == worker
            self.moved += session.worker != worker
        session.handed(worker, tokens, now)
        if session.to_write(now, self._ttl_seconds) is None:
            return
        self._to_write[session_key(session.tenant, session.name)] = session
        if not self._writing:
            self._writing = True
            self._spawn(self._write_all(), "sessions-write")

    # ---- read

    def _may_read(self) -> bool:
        return self._unread_until is None or time.monotonic() >= self._unread_until

    async def _read(self, key: str, session: Session) -> None:
        try:
            async with self._slots, asyncio.timeout(READ_SECONDS):
                self.reads += 1
                found = await self._bus.js.get_msg(self._stream, subject=self._prefix + key, direct=True)
            self._hear(session, found.data or b"")
            session.readable, self._unread_until = True, None
        except nats.js.errors.NotFoundError:
            session.readable, self._unread_until = True, None  # a new one, or its time is over
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            self._unread_until = time.monotonic() + AGAIN_SECONDS
            self._tell(error)
        finally:
            jobs = self._reading.pop(key, {})
        self._on_found(jobs)

    def _remember(self, key: str, session: Session) -> None:
        self._known[key] = session
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED_SESSIONS:
            self._known.popitem(last=False)

    def _hear(self, session: Session, value: bytes) -> None:
        """Take a value of the bucket; one that is not this session's counts as none."""
        if not value:
            return
        try:
            record = decode(SessionRecord, value)
        except MalformedMessageError as error:
            self._log.error(Event.MESSAGE_MALFORMED, field=error.field, reason=error.reason)
            return
        if (record.tenant, record.session) == (session.tenant, session.name):
            session.hear(record)
        else:
            self._log.error(Event.MESSAGE_MALFORMED, field="session", reason="it stands under another's key")

    async def _heard(self, message: Msg) -> None:
        key = message.subject.removeprefix(self._prefix)
        session = self._known.get(key)
        if session is None:
            return
        if message.data:
            self._hear(session, message.data)
        elif key not in self._to_write:  # taken down
            del self._known[key]

    async def _reconnected(self) -> None:
        """What was written meanwhile went unheard: read again what is not about to be written."""
        for key in [key for key in self._known if key not in self._to_write]:
            del self._known[key]

    # ---- write

    async def _write_all(self) -> None:
        try:
            while self._to_write:
                await asyncio.sleep(GAP_SECONDS)
                due, self._to_write = self._to_write, {}
                await asyncio.gather(*(self._write(key, session) for key, session in due.items()))
        finally:
            self._writing = False

    async def _write(self, key: str, session: Session) -> None:
        record = session.to_write(time.time(), self._ttl_seconds)
        if record is None:
            return
        try:
            async with self._slots:
                self.writes += 1
                await self._bus.js.publish(self._prefix + key, encode(record), timeout=WRITE_SECONDS)
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            self._tell(error)  # the next turn tries again
        else:
            session.stored = record

    def _tell(self, error: Exception) -> None:
        self.failed += 1
        if (times := self._failures.again()) is not None:
            reason = str(error) or type(error).__name__
            self._log.warning(Event.SESSIONS_FAILED, stream=self._stream, error=reason, times=times)
