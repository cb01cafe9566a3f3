"""Learns from jobs that named their adapter: keeps embeddings of some, for `lorayard routes train --traffic`.

Nothing unless an operator wants it, and never a text. Of each adapter a bounded number is kept, drawn so that
each of its jobs has the same chance (reservoir sampling, Vitter 1985). They count under one encoder only:
with another one they begin anew.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import nats.errors
import nats.js.errors
import structlog

from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.samples import MAX_SAMPLES_BYTES, AdapterSamples, TrafficSamples, samples_object
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.prompt_excerpt import prompt_excerpt
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.logs import Event
from lorayard_shared.registry.errors import StoreFullError
from lorayard_shared.registry.objects import Objects
from lorayard_shared.semantic.errors import ArtifactError

A_SECOND = 20
"""Embeddings at most: some tenths of a millisecond each, under one hundredth of a core."""

MOST = 20_000
"""Of all adapters, in memory and in the object: 10 MB at 256 dimensions."""

VALUE_BYTES = 2
FLUSH_SECONDS = 60.0
LOOK_SECONDS = 2.0
"""Until drawing begins after a start, or under another encoder."""
LAST_SECONDS = 2.0
"""For the last writing of a dispatcher that stops: what it costs to lose is a minute of samples."""

Embed = Callable[[str], bytes]
"""A text's vector as float16, or nothing for one that says nothing to the encoder."""


@dataclass(slots=True)
class _Drawn:
    seen: int = 0
    vectors: list[bytes] = field(default_factory=list[bytes])


class Samples:
    """One dispatcher's draw. `per_adapter` of 0 keeps none."""

    def __init__(self, per_adapter: int, *, draw: random.Random | None = None) -> None:
        self.per_adapter = per_adapter
        self.encoder: str | None = None
        self._drawn: dict[str, _Drawn] = {}
        self._count = 0
        self._free_at = 0.0
        self._draw = draw or random.Random()
        self.changed = False
        """Since they were last written."""

    def __len__(self) -> int:
        return self._count

    def begin(self, encoder: str | None, before: TrafficSamples | None) -> None:
        """Vectors of this encoder count from now on, and those that were drawn before, by whoever did."""
        self.encoder = encoder
        self._drawn.clear()
        self._count = 0
        self.changed = False
        if before is not None and before.encoder == encoder:
            self._resume(before)

    def see(self, job: TakenJob, embed: Embed, encoder: str | None, now: float) -> None:
        """A job that names its adapter; it may be drawn. `now` is monotonic."""
        name = job.address.adapter
        if name is None or encoder is None or encoder != self.encoder or now < self._free_at:
            return
        drawn = self._drawn.get(name)
        if drawn is None:
            if self._count >= MOST:
                return
            drawn = self._drawn[name] = _Drawn()
        drawn.seen += 1
        place = len(drawn.vectors)
        if place >= self.per_adapter or self._count >= MOST:
            place = self._draw.randrange(drawn.seen)
            if place >= len(drawn.vectors):
                return
        self._free_at = max(now, self._free_at) + 1.0 / A_SECOND
        text = prompt_excerpt(job.body)
        try:
            vector = embed(text) if text else b""
        except ArtifactError as error:  # it is no sample, and its job goes on
            structlog.get_logger().warning(Event.PROMPT_UNJUDGED, job=job.job, reason=str(error))
            return
        if vector:
            self._keep(drawn, place, vector)

    def _keep(self, drawn: _Drawn, place: int, vector: bytes) -> None:
        self.changed = True
        if place < len(drawn.vectors):
            drawn.vectors[place] = vector
        else:
            drawn.vectors.append(vector)
            self._count += 1

    def told(self) -> TrafficSamples | None:
        """As it is written; None: there is nothing."""
        sizes = {len(vector) for drawn in self._drawn.values() for vector in drawn.vectors}
        if self.encoder is None or len(sizes) != 1:
            return None
        adapters = {
            name: AdapterSamples(seen=drawn.seen, vectors=b"".join(drawn.vectors))
            for name, drawn in self._drawn.items()
            if drawn.vectors
        }
        dimensions = sizes.pop() // VALUE_BYTES
        return TrafficSamples(encoder=self.encoder, dimensions=dimensions, adapters=adapters, at=time.time())

    def _resume(self, told: TrafficSamples) -> None:
        size = told.dimensions * VALUE_BYTES
        for name, known in told.adapters.items():
            vectors = [known.vectors[at : at + size] for at in range(0, len(known.vectors), size)]
            kept = vectors[: min(self.per_adapter, MOST - self._count)]
            self._drawn[name] = _Drawn(seen=max(known.seen, len(kept)), vectors=kept)
            self._count += len(kept)


class SamplesKeeper:
    """Writes a draw to the bus now and then, and reads back what was drawn before."""

    def __init__(
        self,
        bus: Bus,
        samples: Samples,
        *,
        seats: Callable[[], Sequence[int]],
        encoder: Callable[[], str | None],
    ) -> None:
        """`seats` are the partitions that this dispatcher is active for, `encoder` the one in force."""
        self._objects = Objects(bus, "payloads")
        self._samples = samples
        self._seats = seats
        self._encoder = encoder
        self._written_at = -math.inf
        self._seat: int | None = None
        """Whose object is gone on with: each keeps what was drawn for it, whoever holds it."""
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Keep it up until cancelled; what was drawn last is written then."""
        if not self._samples.per_adapter:
            await asyncio.Event().wait()
        try:
            while True:
                await self.look(time.monotonic())
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self.look(math.inf)

    async def look(self, now: float) -> None:
        """Begin anew with another encoder; write what is new, now and then. What fails is tried again."""
        seats, encoder = self._seats(), self._encoder()
        if not seats:
            self._seat = None  # another dispatcher goes on with it
            return
        lowest = min(seats)
        try:
            if encoder != self._samples.encoder or lowest != self._seat:
                await self._go_on(lowest, encoder, seats)
            elif self._samples.changed and now - self._written_at >= FLUSH_SECONDS:
                await self._write(samples_object(lowest))
                self._written_at = now
        except (nats.errors.Error, nats.js.errors.Error, StoreFullError, TimeoutError) as error:
            self._log.warning(Event.SAMPLES_FAILED, error=str(error) or type(error).__name__)

    async def _go_on(self, seat: int, encoder: str | None, seats: Sequence[int]) -> None:
        """With what was drawn before for a seat; what was drawn for another stays in its object."""
        before = self._seat
        if before is not None and before != seat and before in seats and self._samples.changed:
            await self._write(samples_object(before))
        self._samples.begin(encoder, await self._read(samples_object(seat)))
        self._seat = seat

    async def _write(self, name: str) -> None:
        told = self._samples.told()
        if told is not None:
            await self._objects.put(name, encode(told))
        self._samples.changed = False

    async def _read(self, name: str) -> TrafficSamples | None:
        data = await self._objects.get(name, limit_bytes=MAX_SAMPLES_BYTES)
        if data is None:
            return None
        try:
            return decode(TrafficSamples, data)
        except MalformedMessageError as error:
            self._log.warning(Event.MESSAGE_MALFORMED, key=name, field=error.field, reason=error.reason)
            return None
