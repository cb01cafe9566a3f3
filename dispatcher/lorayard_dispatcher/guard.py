"""Stops versions that are tried out and are worse: hears results, and takes their share of the alias away.

Results are listened to only while a guarded alias tries something, and by the one dispatcher that keeps the
adapters: it hears those of every partition, so that nothing has to be added up. What it has counted is
written once a second at most, and whoever takes over goes on from there: no more is lost than the answers of
that second, and of the time until somebody has taken over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, cast

import msgpack
import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from lorayard_dispatcher.guarding.trial import Answer, Trial, Verdict
from lorayard_dispatcher.trial_ledger import TrialLedger
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.alias_book import AliasBook
from lorayard_shared.logs import Event
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.errors import RegistryError
from lorayard_shared.registry.records import Author

LOOK_SECONDS = 0.5
"""From a change of aliases to the first answer that counts: few are missed of an experiment."""

KEEP_SECONDS = 1.0
"""Between two writes of what was counted; so much of it may be lost."""

LAST_SECONDS = 1.0
"""For the last one of a dispatcher that stops."""

GUARD = "guard"
"""Who has changed an alias then."""

JsonMap = dict[str, Any]
Spawn = Callable[[Coroutine[object, object, object], str], None]


class Guard:
    """One dispatcher's trials."""

    def __init__(self, bus: Bus, aliases: AliasBook, *, spawn: Spawn, is_active: Callable[[], bool]) -> None:
        self._bus = bus
        self._aliases = aliases
        self._store = AliasStore(bus)
        self._spawn = spawn
        self._is_active = is_active
        self._ledger = TrialLedger(bus)
        self._trials: dict[str, Trial] = {}
        self._written: dict[str, tuple[int, int]] = {}
        """Revision and answers of each, as they were last written."""
        self._keep_at = 0.0
        self._stopping: set[str] = set()
        self._heard: Subscription | None = None
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Look what is tried, until cancelled; what was counted last is written then."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._listen(wanted=False)
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._keep()

    async def _look(self) -> None:
        guarded = {record.spec: record for record in self._aliases if self._is_active() and _tries(record)}
        for spec in self._trials.keys() - guarded.keys():
            del self._trials[spec]
        for spec, record in guarded.items():
            known = self._trials.get(spec)
            if known is None or known.record != record:
                await self._begin(record)
        await self._listen(wanted=bool(guarded))
        if (now := time.monotonic()) >= self._keep_at:
            self._keep_at = now + KEEP_SECONDS
            await self._keep()

    async def _begin(self, record: AliasRecord) -> None:
        """Count the answers to a revision, from where it was left; without the bus the next look does."""
        self._trials.pop(record.spec, None)
        try:
            kept = await self._ledger.read(record)
        except (nats.errors.Error, TimeoutError) as error:
            self._log.warning(Event.BUS_FAILED, alias=record.spec, error=str(error) or type(error).__name__)
            return
        self._trials[record.spec] = Trial(record, kept)

    async def _keep(self) -> None:
        """Write what is new. Where another dispatcher has counted more, go on from that."""
        for spec, trial in list(self._trials.items()):
            told = trial.kept
            if self._written.get(spec, (0, 0)) == told.rank or not told.answers:
                continue
            try:
                more = await self._ledger.write(told)
            except (nats.errors.Error, TimeoutError) as error:
                self._log.warning(Event.BUS_FAILED, alias=spec, error=str(error) or type(error).__name__)
                return
            self._written[spec] = told.rank
            if more is not None and more.revision == told.revision and self._trials.get(spec) is trial:
                self._trials[spec] = Trial(trial.record, more)

    async def _listen(self, *, wanted: bool) -> None:
        if wanted and self._heard is None:
            self._heard = await self._bus.nc.subscribe(self._bus.subjects.done_all, cb=self._on_result)
        elif not wanted and self._heard is not None:
            heard, self._heard = self._heard, None
            await heard.unsubscribe()

    async def _on_result(self, message: Msg) -> None:
        try:
            result = cast("JsonMap", msgpack.unpackb(message.data))
            tried = [
                (trial, answer)
                for version, alias in led_by_aliases(result)
                if (trial := self._trials.get(alias["name"])) is not None
                and trial.record.revision == alias["revision"]
                and (answer := read_answer(result, version)) is not None
            ]
        except (ValueError, TypeError, LookupError, msgpack.UnpackException):
            return  # none that an alias has led to
        for trial, answer in tried:
            self._see(trial, answer)

    def _see(self, trial: Trial, answer: Answer) -> None:
        verdict = trial.see(answer)
        if verdict is not None and trial.record.spec not in self._stopping:
            self._stopping.add(trial.record.spec)
            self._spawn(self._stop(trial.record, verdict), f"guard-{trial.record.spec}")

    async def _stop(self, record: AliasRecord, verdict: Verdict) -> None:
        try:
            done = await self._store.stop(record, verdict.version, Author(actor=GUARD, reason=verdict.why))
        except (nats.errors.Error, RegistryError) as error:
            self._log.warning(Event.BUS_FAILED, alias=record.spec, error=str(error))
        else:
            if done:
                self._log.warning(
                    Event.VERSION_STOPPED, alias=record.spec, version=verdict.version, why=verdict.why
                )
        finally:  # the next answer tries again, if it is still there to stop
            self._stopping.discard(record.spec)


def led_by_aliases(result: JsonMap) -> Iterator[tuple[str, JsonMap]]:
    """The versions of a result that an alias led to, and the alias: of its one adapter, or of its parts. Each
    was drawn by itself, so what the other parts do to an answer meets versions alike.

    Raises:
        TypeError, LookupError: it is no result.
    """
    maker: JsonMap = result["maker"]
    composition: JsonMap = maker.get("composition") or {}
    for made in (maker, *composition.get("parts", ())):
        if (alias := made.get("alias")) is not None:
            yield str(made["version"]), alias


def read_answer(result: JsonMap, version: str) -> Answer | None:
    """What a result says of a version that it was made with; None: it ended for reasons of its own.

    Raises:
        TypeError, LookupError: it is no result.
    """
    state = result["state"]
    if state == ResultState.SUCCEEDED:
        told: dict[str, float] = _part(result, "timings")
        spent = told.get("total_ms", 0.0) - told.get("queued_ms", 0.0) - told.get("load_ms", 0.0)
        return Answer(version=version, failed=False, milliseconds=max(0.0, spent))
    error = _part(result, "error")
    # A permanent failure that names a field is the request's own.
    if state == ResultState.FAILED and not (error.get("kind") == ErrorKind.PERMANENT and error.get("field")):
        return Answer(version=version, failed=True)
    return None


def _part(result: JsonMap, field: str) -> JsonMap:
    found: object = result.get(field) or {}
    if not isinstance(found, dict):
        raise TypeError(f"{field} is {found!r}")
    return cast("JsonMap", found)


def _tries(record: AliasRecord) -> bool:
    if record.guard is None or record.control is None:
        return False
    return any(arm.weight > 0 and arm.version != record.control for arm in record.arms)
