"""A way to the bus that can lose one message, and breaks with it; and clients that go that way."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client, GenerateRequest
from lorayard.cancel_together import FEW
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.scanning import scan
from lorayard_shared.jobs.dead_letters import DeadLetters, letter_of
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

_numbers = itertools.count()

_SIZED = re.compile(rb"(MSG|HMSG|PUB|HPUB) (.*?) ?(\d+)\r\n", re.IGNORECASE)
_LINE = b"\r\n"

READ_BYTES = 64 * 1024

_WRITES = (
    ".$KV",
    ".$O",
    ".$JS.API.STREAM.MSG.DELETE",
    ".$JS.API.STREAM.PURGE",
    ".delayed.",
    ".dispatcher.cancel",
    ".dispatcher.place",
    ".jobs.",
    ".results.",
)
"""Kinds of messages that change something."""


class Loss(StrEnum):
    """What is lost."""

    ANSWER = "answer"
    """The server has done it, and nobody hears of that."""
    QUESTION = "question"
    """The server has not heard of it."""


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Which message is to be lost."""

    way: Loss
    kind: str = ""
    """Empty: the first one, of whatever kind."""
    number: int = 1
    """The how manieth of its kind."""


def kind_of(subject: str) -> str:
    """What a subject is about, without names."""
    parts = subject.split(".")
    if parts[0] == "$JS":
        return ".".join(parts[:4]) if parts[1] == "API" else parts[1]
    if parts[0] == "$O":
        return f"$O.{parts[2]}"
    return parts[0] if parts[0].startswith(("$", "_")) else ".".join(parts[1:3])


class Wire:
    """Listens on a port of its own; what comes there goes to the server, message by message."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()
        self._ways: set[asyncio.Task[None]] = set()
        self._asked: dict[str, str] = {}
        self._armed: Lost | None = None
        self._mutes_at: tuple[str, ...] = ()
        self._is_mute = False
        self.lost: str | None = None
        """The message that was lost, its first line."""
        self.passed: list[tuple[Loss, str]] = []
        """What went by, both ways."""

    async def open(self) -> str:
        """Listen; returns the address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return f"nats://127.0.0.1:{port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for way in list(self._ways):
            way.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def lose(self, lost: Lost | None) -> None:
        """Of the messages that go by from now on lose that one, and break the connection; None: all go by."""
        self._armed, self.lost, self.passed = lost, None, []
        self._mutes_at, self._is_mute = (), False

    def mute(self, *, writes_only: bool) -> None:
        """Have no answer come through any more, once something was asked, or asked to be changed."""
        self.lose(None)
        self._mutes_at = _WRITES if writes_only else (".",)

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._serving.add(serving)
        writers, ways = [near_out], set[asyncio.Task[None]]()
        try:
            far, far_out = await asyncio.open_connection(self._host, self._port)
            writers.append(far_out)
            ways = {
                asyncio.create_task(self._carry(near, far_out, Loss.QUESTION), name="questions"),
                asyncio.create_task(self._carry(far, near_out, Loss.ANSWER), name="answers"),
            }
            self._ways |= ways
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # the server is away
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._ways -= ways
            for writer in writers:
                writer.transport.abort()
            await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
            self._serving.discard(serving)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Loss) -> None:
        frames = Frames()
        with suppress(ConnectionError):
            while data := await reader.read(READ_BYTES):
                for frame, is_message in frames.feed(data):
                    if is_message and self._is_lost(way, frame):
                        await writer.drain()
                        return
                    if not (self._is_mute and way is Loss.ANSWER):
                        writer.write(frame)
                await writer.drain()

    def _is_lost(self, way: Loss, frame: bytes) -> bool:
        line = frame[: frame.index(_LINE)].decode()
        now = (way, self._kind(way, line))
        self.passed.append(now)
        if way is Loss.QUESTION and self._mutes_at and f".{now[1]}".startswith(self._mutes_at):
            self._is_mute = True
        armed = self._armed
        if armed is None or now != (armed.way, armed.kind or now[1]):
            return False
        if armed.kind and self.passed.count(now) != armed.number:
            return False
        self._armed, self.lost = None, line
        return True

    def _kind(self, way: Loss, line: str) -> str:
        """What a message is about: an answer what its question was."""
        words = line.split()
        subject = words[1]
        kind = kind_of(subject)
        if way is Loss.QUESTION and len(words) > (3 if words[0] == "PUB" else 4):
            self._asked[words[2]] = kind
        return self._asked.get(subject, kind)


class Frames:
    """Cuts a stream of the protocol into its lines, and messages with their bodies."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """What is whole; of each whether it is a message."""
        self._rest += data
        while (end := self._rest.find(_LINE)) >= 0:
            end += len(_LINE)
            sized = _SIZED.fullmatch(self._rest[:end])
            if sized is not None:
                end += int(sized[3]) + len(_LINE)
                if len(self._rest) < end:
                    return
            frame, self._rest = self._rest[:end], self._rest[end:]
            yield frame, sized is not None


@dataclass(kw_only=True)
class Case:
    """One call of one verb: a client over a wire, and one that goes straight, of a tenant of their own."""

    name: str
    """Of the tenant, and the reason of all changes: letters only, so that it can be an alias too."""
    wire: Wire
    far: YardSettings
    """Of a client that goes over the wire."""
    yard: Yard
    client: Client
    """Over the wire."""
    sure: Client
    folder: Path
    there: dict[str, Any] = field(default_factory=dict[str, Any])
    """What was made ready."""

    @property
    def adapter(self) -> str:
        """A name of its own."""
        return f"acme/tiny/{self.name}"

    async def results(self) -> int:
        """Results that the tenant's jobs have."""
        return await self._count("results", f"results.{self.name}.*")

    async def waiting(self) -> int:
        """Jobs of the tenant that are in the queue."""
        return await self._count("jobs", f"jobs.*.{self.name}.>")

    async def changes(self) -> int:
        """Changes of what the yard keeps that give this case as their reason, as the audit trail tells."""
        found: list[RegistryChange] = []
        bus = self.yard.bus
        await scan(
            bus,
            bus.subjects.stream("audit"),
            f"{bus.subjects.prefix}.audit.registry.>",
            lambda _subject, _headers, body: found.append(decode(RegistryChange, body)),
            seconds=10,
        )
        return sum(change.reason == self.name for change in found)

    async def hold(self) -> None:
        """Have a job that waits."""
        self.there["held"] = (await self.sure.submit("hello", lane="bulk", delay_seconds=3600)).id

    async def hold_many(self) -> None:
        """Have more jobs that wait than are cancelled one by one."""
        wait = [GenerateRequest("hello", lane="bulk", delay_seconds=3600)] * (FEW + 1)
        report = await self.sure.submit_many(wait)
        self.there["many"] = [handle.id for handle in report.handles]

    async def end(self) -> None:
        """Have a job that has ended."""
        handle = await self.sure.submit("hello", stream=True)
        await handle.result(30)
        self.there["ended"] = handle.id

    async def bury(self) -> None:
        """Have a dead letter."""
        address = JobAddress(lane=Lane.HIGH, tenant=self.name, adapter=None)
        letter = letter_of(
            subject=self.yard.bus.subjects.job(address),
            address=address,
            job=self.name,
            key="S-7",
            body=encode(Job(id=self.name, prompt="hello")),
            code="engine_error",
            reason="it failed",
            deliveries=1,
            attempts=(AttemptRecord(attempt=1, worker="w", code="engine_error", message="m", at=1.0),),
        )
        self.there["letter"] = await DeadLetters(self.yard.bus).bury(letter)

    async def push(self) -> None:
        """Have a version of an adapter of its own."""
        await self.sure.adapters.push(self.weights(), name=self.adapter, version="1")

    def weights(self) -> Path:
        """A folder with an adapter that nobody else has."""
        place = self.folder / self.name
        if not place.exists():
            make_tiny_adapter(place, seed=next(_numbers) + 1000, targets=("q_proj",))
        return place

    async def _count(self, kind: str, subject: str) -> int:
        bus = self.yard.bus
        filtered = {"subjects_filter": f"{bus.subjects.prefix}.{subject}"}
        info = await bus.api(f"STREAM.INFO.{bus.subjects.stream(kind)}", filtered)
        counts: dict[str, int] = info["state"].get("subjects") or {}
        return sum(counts.values())


class Cases:
    """Makes them."""

    def __init__(self, yard: Yard, folder: Path) -> None:
        self._yard = yard
        self._folder = folder

    @asynccontextmanager
    async def make(self) -> AsyncGenerator[Case]:
        """A case, until it is left."""
        name = "t" + "".join(chr(ord("a") + int(digit)) for digit in str(next(_numbers)))
        address = urlsplit(self._yard.settings.url)
        wire = Wire(address.hostname or "", address.port or 0)
        patient = self._yard.settings.model_copy(update={"connect_timeout_seconds": 30.0})
        far = patient.model_copy(update={"url": await wire.open()})
        async with self._client(far, name) as client, self._client(patient, name) as sure:
            case = Case(
                name=name, wire=wire, far=far, yard=self._yard, client=client, sure=sure, folder=self._folder
            )
            try:
                yield case
            finally:
                wire.lose(None)
        await wire.close()

    def _client(self, settings: YardSettings, tenant: str) -> Client:
        return Client(settings=settings, tenant=tenant)


@pytest.fixture
async def cases(yard: Yard, adapters: Path, tmp_path: Path) -> Cases:
    """Cases of a yard with a dispatcher, and a worker that has two versions of an adapter."""
    return await _started(yard, adapters, tmp_path)


async def _started(yard: Yard, adapters: Path, tmp_path: Path) -> Cases:
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters, pulled_dir=tmp_path / "pulled")
    return Cases(yard, tmp_path / "pushed")
