"""The bus in memory: what of a nats-server a client and its jobs need, on a clock that a test moves.

Streams are made from the yard's own declarations, so that subjects, windows, ages and limits are those of the
real one. Buckets, object stores and consumers are not here: what asks for them hears that there are none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from lorayard.testing.clock import YardClock
from lorayard.testing.memory_api import MemoryApi
from lorayard.testing.memory_stream import Kept, MemoryStream, StreamRefusedError, Taken, matches
from lorayard_schemas import headers
from lorayard_shared.bus.nats_client import header_block
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

Answerer = Callable[[bytes], bytes]
"""Answers a request on a subject."""

NO_RESPONDERS = b"NATS/1.0 503\r\n\r\n"

ROUNDING_SECONDS = 1e-5
"""A schedule is written in microseconds."""

_API = "$JS.API."
_UNKNOWN_BATCH = 10176


class Peer(Protocol):
    """Whoever is connected."""

    def hears(self, subject: str) -> list[int]:
        """Its subscriptions that a subject fits."""
        ...

    def deliver(self, sid: int, subject: str, reply: str, head: bytes | None, body: bytes) -> None:
        """Give it a message, from any thread."""
        ...

    def cut(self) -> None:
        """The server is away."""
        ...

    def mend(self) -> None:
        """It is back."""
        ...


class MemoryServer:
    """Safe to use from any thread."""

    def __init__(self, settings: YardSettings, clock: YardClock) -> None:
        self.settings = settings
        self.clock = clock
        self.lock = threading.RLock()
        self.streams = {
            one.name: MemoryStream(one)
            for one in topology(settings).streams
            if not one.name.startswith(("KV_", "OBJ_"))
        }
        self.peers: list[Peer] = []
        self.refusal: StreamRefusedError | None = None
        """What every publish of a job hears; None: it is stored."""
        self.is_away = False
        self.texts: dict[str, str] = {}
        """What is too long for a message, by its key."""
        self._services: dict[str, Answerer] = {}
        self._batches: dict[str, list[tuple[str, Mapping[str, str], bytes]]] = {}
        self._watchers: list[Callable[[MemoryStream, Kept], None]] = []
        self._hooks: list[Callable[[], None]] = []
        self._api = MemoryApi(self)
        clock.on_advance(self.age)

    def stream(self, kind: str) -> MemoryStream:
        """By the last part of its name: `jobs`, `delayed`, `results`, `tokens`, `dead`."""
        return self.streams[self.settings.subjects.stream(kind)]

    def serve(self, subject: str, answer: Answerer) -> None:
        """Answer requests on a subject."""
        self._services[subject] = answer

    def on_stored(self, watcher: Callable[[MemoryStream, Kept], None]) -> None:
        """Call it after each message that a stream has taken, and after its sender's answer."""
        self._watchers.append(watcher)

    def after_message(self, hook: Callable[[], None]) -> None:
        """Call it after each message of a peer, with nothing locked."""
        self._hooks.append(hook)

    def receive(self, subject: str, reply: str, head: Mapping[str, str], body: bytes) -> None:
        """A message from a peer."""
        self._receive(subject, reply, head, body)
        for hook in self._hooks:
            hook()

    def leave(self) -> None:
        """Be away, for everybody that is connected."""
        with self.lock:
            self.is_away = True
            for peer in self.peers:
                peer.cut()

    def come_back(self) -> None:
        """Be there again."""
        with self.lock:
            self.is_away = False
            for peer in self.peers:
                peer.mend()

    def _receive(self, subject: str, reply: str, head: Mapping[str, str], body: bytes) -> None:
        with self.lock:
            if subject.startswith(_API):
                self._api.answer(subject.removeprefix(_API), reply, body)
            elif (service := self._services.get(subject)) is not None:
                self.send(reply, service(body))
            elif (stream := self._stream_of(subject)) is not None:
                self._store(stream, subject, reply, head, body)
            elif not self.send(subject, body, reply=reply) and reply:
                self.send(reply, b"", head=NO_RESPONDERS)

    def store(self, subject: str, head: Mapping[str, str], body: bytes) -> Taken:
        """Publish to whichever stream takes the subject, as a peer would.

        Raises:
            StreamRefusedError: it does not take the message.
        """
        with self.lock:
            stream = self._stream_of(subject)
            assert stream is not None, f"no stream takes {subject}"
            taken = stream.publish(subject, head, body, now=self.clock.now)
            if taken.kept is not None:
                self._announce(stream, taken.kept)
            return taken

    def send(self, subject: str, body: bytes, *, reply: str = "", head: bytes | None = None) -> bool:
        """Give a message to all that hear a subject; whether somebody does."""
        heard = [(peer, sid) for peer in list(self.peers) for sid in peer.hears(subject)] if subject else []
        for peer, sid in heard:
            peer.deliver(sid, subject, reply, head, body)
        return bool(heard)

    def age(self) -> None:
        """What time has done: old messages leave, and schedules are due."""
        with self.lock:
            for stream in self.streams.values():
                stream.age(self.clock.now)
            delayed = self.stream("delayed")
            now = self.clock.now + ROUNDING_SECONDS
            due = [kept for kept in delayed if (at := kept.due_at) is not None and at <= now]
            for kept in sorted(due, key=lambda one: (one.due_at, one.sequence)):
                delayed.remove(kept.sequence)
                own = {name: told for name, told in kept.headers.items() if name.startswith("Yard-")}
                self.store(kept.headers[headers.SCHEDULE_TARGET], own, kept.body)

    def next_due(self) -> float | None:
        """When the next schedule is due, unix seconds."""
        moments = [at for kept in self.stream("delayed") if (at := kept.due_at) is not None]
        return min(moments, default=None)

    @property
    def timestamp(self) -> str:
        """Now, as the server writes it."""
        return datetime.fromtimestamp(self.clock.now, UTC).isoformat().replace("+00:00", "Z")

    def _stream_of(self, subject: str) -> MemoryStream | None:
        return next((stream for stream in self.streams.values() if stream.takes(subject)), None)

    def _store(
        self, stream: MemoryStream, subject: str, reply: str, head: Mapping[str, str], body: bytes
    ) -> None:
        try:
            if self.refusal is not None and stream is self.stream("jobs"):
                raise self.refusal
            if headers.BATCH_ID in head:
                self._gather(stream, subject, reply, head, body)
                return
            taken = stream.publish(subject, head, body, now=self.clock.now)
        except StreamRefusedError as error:
            self._answer(reply, stream, {"error": error_body(error)})
            return
        self._answer(
            reply, stream, {"seq": taken.sequence, **({"duplicate": True} if taken.duplicate else {})}
        )
        if taken.kept is not None:
            self._announce(stream, taken.kept)

    def _gather(
        self, stream: MemoryStream, subject: str, reply: str, head: Mapping[str, str], body: bytes
    ) -> None:
        """A part of an atomic batch: nothing is stored before the last one is here."""
        name = head[headers.BATCH_ID]
        plain = {key: told for key, told in head.items() if not key.startswith("Nats-Batch-")}
        parts = self._batches.setdefault(name, [])
        parts.append((subject, plain, body))
        if headers.BATCH_COMMIT not in head:
            return
        del self._batches[name]
        if len(parts) != int(head[headers.BATCH_SEQUENCE]):
            raise StreamRefusedError(_UNKNOWN_BATCH, "atomic publish batch is incomplete")
        stream.check_batch(parts)
        taken = [stream.publish(*part, now=self.clock.now) for part in parts]
        self._answer(reply, stream, {"seq": taken[-1].sequence, "batch": name, "count": len(parts)})
        for one in taken:
            if one.kept is not None:
                self._announce(stream, one.kept)

    def _answer(self, reply: str, stream: MemoryStream, told: dict[str, Any]) -> None:
        if reply:
            self.send(reply, json.dumps({"stream": stream.name, **told}).encode())

    def _announce(self, stream: MemoryStream, kept: Kept) -> None:
        if stream.republish is not None:
            source, target = stream.republish["src"], stream.republish["dest"]
            if matches(source, kept.subject):
                told = {**kept.headers, **self.lying(stream, kept), "Nats-Last-Sequence": str(kept.before)}
                subject = target.removesuffix(">") + kept.subject.removeprefix(source.removesuffix(">"))
                self.send(subject, kept.body, head=header_block(told))
        for watcher in self._watchers:
            watcher(stream, kept)

    def lying(self, stream: MemoryStream, kept: Kept) -> dict[str, str]:
        """Where a message lies, in the server's headers."""
        at = datetime.fromtimestamp(kept.at, UTC).isoformat().replace("+00:00", "Z")
        return {
            "Nats-Stream": stream.name,
            "Nats-Subject": kept.subject,
            "Nats-Sequence": str(kept.sequence),
            "Nats-Time-Stamp": at,
        }


def error_body(error: StreamRefusedError) -> dict[str, Any]:
    """A refusal as the server writes it."""
    code = 404 if error.code in (10014, 10037, 10059) else 400
    return {"code": code, "err_code": error.code, "description": error.description}
