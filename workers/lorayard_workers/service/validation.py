"""Judges a pushed version with a live engine, and writes the finding into its record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nats.errors
import structlog
from nats.micro.request import Request

from lorayard_schemas.adapter import (
    MAX_REASON_CHARACTERS,
    AdapterRecord,
    AdapterRefusal,
    AdapterState,
)
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.codec import encode
from lorayard_schemas.validation import ValidateAdapter, ValidateReply, Verdict
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.self_check import (
    MAX_BYTES,
    SELF_CHECK_NAME,
    Expectation,
    parse_self_check,
    read_self_check,
)
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.service import read_request
from lorayard_shared.errors import YardError
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_shared.registry.blobs import BlobStore
from lorayard_shared.registry.errors import RegistryError
from lorayard_shared.registry.records import Author, Records, check_move
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.layout import padded_rank
from lorayard_workers.service.shelf import Shelf, UnfitError
from lorayard_workers.service.trial import TrialFailedError, TrialImpossibleError, try_adapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is said of a version."""

    verdict: Verdict
    reason: str = ""
    module: str | None = None


class Validation:
    """Answers `control.validate`, one version at a time: it takes rows and memory from jobs."""

    def __init__(
        self, bus: Bus, engine: Engine, shelf: Shelf, *, worker: str, takes_jobs: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._shelf = shelf
        self._records = Records(bus)
        self._blobs = BlobStore(bus)
        self._worker = worker
        self._takes_jobs = takes_jobs
        self._log = structlog.get_logger().bind(worker=worker)
        self._tasks = OwnedTasks(self._log)
        self._turn = asyncio.Lock()

    async def asked(self, request: Request) -> None:
        """Judge a version and answer once that is done: in a second, or a minute."""
        wish = await read_request(ValidateAdapter, request)
        if wish is None:
            return
        self._tasks.spawn(self._answer(wish, request), f"validate-{wish.name}@{wish.version}")

    async def end(self) -> None:
        """Nothing is judged any more."""
        await self._tasks.end()

    async def _answer(self, wish: ValidateAdapter, request: Request) -> None:
        try:
            async with self._turn:
                found = await self._judge(wish)
        except (YardError, nats.errors.Error, OSError) as error:
            found = Finding(verdict=Verdict.NOT_JUDGED, reason=str(error) or type(error).__name__)
        reply = ValidateReply(
            worker=self._worker, verdict=found.verdict, reason=_cut(found.reason), module=found.module
        )
        await request.respond(encode(reply))

    async def _judge(self, wish: ValidateAdapter) -> Finding:
        """Fetch, load, generate, compare; what is found stands in the record when this returns."""
        if not self._takes_jobs():
            return Finding(verdict=Verdict.NOT_JUDGED, reason="the worker is stopping")
        await self._shelf.look_up([AdapterRef(name=wish.name, version=wish.version, digest=wish.digest)])
        found = await self._try(wish)
        if found.verdict is Verdict.SOUND:
            await self._records.change(
                wish.name, wish.version, self._sound(wish), self._author(wish), verb="validate"
            )
        elif found.verdict is Verdict.REFUSED:
            await self._refuse(wish, found)
        self._log.info(
            Event.ADAPTER_JUDGED,
            adapter=wish.name,
            version=wish.version,
            verdict=found.verdict,
            reason=found.reason,
        )
        return found

    async def _try(self, wish: ValidateAdapter) -> Finding:
        try:
            await self._shelf.bring(wish.digest)
            expectations = await self._expectations(wish)
            await try_adapter(self._engine, wish.digest, self._shelf.templates.get(wish.digest), expectations)
        except AdapterRefusedError as error:
            return Finding(verdict=Verdict.REFUSED, reason=error.reason, module=error.module)
        except UnfitError as error:
            verdict = Verdict.REFUSED if error.judged else Verdict.NOT_JUDGED
            return Finding(verdict=verdict, reason=str(error), module=error.module)
        except TrialFailedError as error:
            return Finding(verdict=Verdict.REFUSED, reason=error.reason)
        except (CapacityError, TrialImpossibleError) as error:
            return Finding(verdict=Verdict.NOT_JUDGED, reason=str(error))
        return Finding(verdict=Verdict.SOUND)

    async def _expectations(self, wish: ValidateAdapter) -> tuple[Expectation, ...]:
        """Of this version: its weights may lie here from another, that expected something else."""
        record = (await self._records.get(wish.name, wish.version)).record
        stored = next((file for file in record.files if file.name == SELF_CHECK_NAME), None)
        if stored is not None:
            data = await self._blobs.read(stored, limit_bytes=MAX_BYTES)
            return parse_self_check(data, Path(record.label))
        folder = self._shelf.folder_of(wish.digest)
        if record.in_store or folder is None:
            return ()
        return await asyncio.to_thread(read_self_check, folder)

    def _sound(self, wish: ValidateAdapter) -> Callable[[AdapterRecord], AdapterRecord]:
        def sound(record: AdapterRecord) -> AdapterRecord:
            if record.digest != wish.digest:
                raise RegistryError(f"{record.label} was registered anew while it was tried")
            state = record.state
            if state is AdapterState.PUSHED:
                state = AdapterState.VALIDATED
            return record.model_copy(
                update={
                    "state": state,
                    "base_digest": self._engine.base_digest,
                    "columns": padded_rank(record.rank),
                }
            )

        return sound

    async def _refuse(self, wish: ValidateAdapter, found: Finding) -> None:
        refusal = AdapterRefusal(
            reason=_cut(found.reason),
            module=None if found.module is None else _cut(found.module),
            worker=self._worker,
            at=time.time(),
        )

        def refused(record: AdapterRecord) -> AdapterRecord:
            # One that serves goes on: one worker's finding takes nothing from those that it works on.
            if record.digest != wish.digest or record.state is not AdapterState.PUSHED:
                return record
            check_move(record, AdapterState.REFUSED)
            return record.model_copy(update={"state": AdapterState.REFUSED, "refusal": refusal})

        await self._records.change(wish.name, wish.version, refused, self._author(wish), verb="refuse")

    def _author(self, wish: ValidateAdapter) -> Author:
        return Author(actor=f"worker {self._worker}", reason=f"asked by {wish.actor or 'somebody'}")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_REASON_CHARACTERS else text[: MAX_REASON_CHARACTERS - 1] + "…"
