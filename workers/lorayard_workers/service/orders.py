"""Orders about adapters, followed or refused one by one: a bad one harms nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import nats.errors
import structlog
from pydantic import TypeAdapter, ValidationError

from lorayard_schemas.names import Digest
from lorayard_schemas.order import AdapterOrder, OrderAnswer, OrderOutcome, OrderVerb
from lorayard_shared.errors import YardError
from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.engine.residency import Residency
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.budget import check_pins
from lorayard_workers.memory.slots import Room
from lorayard_workers.service.shelf import UnfitError
from lorayard_workers.service.stock import Stock

MAX_LOADING = 64
"""Adapters on their way into host memory past which a worker takes no more prefetches: at 30 to 300 ms each
the last comes in two to twenty seconds, and whoever asked for it has planned anew by then."""

_NEED_FILES = frozenset({OrderVerb.PREFETCH, OrderVerb.LOAD, OrderVerb.PIN, OrderVerb.DEDICATE})

_DIGEST: TypeAdapter[str] = TypeAdapter(Digest)
_QUEUED = (OrderOutcome.QUEUED, "")
_THERE = (OrderOutcome.THERE, "")

_Found = tuple[OrderOutcome, str]


class Orders:
    """Judges an order by what the engine holds, and passes it on."""

    def __init__(
        self,
        engine: Engine,
        *,
        stock: Stock,
        max_rank: int,
        is_draining: Callable[[], bool],
    ) -> None:
        """`max_rank`: of any adapter that may come."""
        self._engine = engine
        self._stock = stock
        self._log = structlog.get_logger()
        self._tasks = OwnedTasks(self._log)
        self._max_rank = max_rank
        self._is_draining = is_draining
        self._follow: Mapping[OrderVerb, Callable[[str, Residency], _Found]] = {
            OrderVerb.PREFETCH: self._prefetch,
            OrderVerb.LOAD: self._load,
            OrderVerb.PIN: self._pin,
            OrderVerb.UNPIN: self._unpin,
            OrderVerb.UNLOAD: self._unload,
            OrderVerb.DEDICATE: self._dedicate,
            OrderVerb.UNDEDICATE: self._undedicate,
        }

    def follow(self, verb: OrderVerb, order: AdapterOrder) -> tuple[OrderAnswer, ...]:
        """An answer for each adapter."""
        if verb is OrderVerb.DEDICATE and len(order.digests) > 1:
            detail = f"{len(order.digests)} adapters: a worker serves one alone, or all"
            return tuple(_answer(digest, (OrderOutcome.REFUSED, detail)) for digest in order.digests)
        return tuple(_answer(digest, self._one(verb, digest)) for digest in order.digests)

    @property
    def serves_only(self) -> str | None:
        """The one adapter that the worker serves alone; None: it serves all, and the base model."""
        return self._engine.residency().serves_only

    def _one(self, verb: OrderVerb, digest: str) -> _Found:
        try:
            _DIGEST.validate_python(digest)
        except ValidationError:
            return OrderOutcome.REFUSED, "not a digest: algorithm:hex is needed"
        if not self._stock.knows(digest):
            return OrderOutcome.UNKNOWN_ADAPTER, "no files of it here"
        if self._is_draining():
            return OrderOutcome.REFUSED, "the worker is stopping"
        # Asked for each: an order changes what the next one finds.
        now = self._engine.residency()
        if verb in _NEED_FILES and not self._is_held(digest, now) and not self._stock.here(digest):
            if len(self._stock.coming) + len(now.loading) >= MAX_LOADING:
                return _too_many(now)
            self._tasks.spawn(self._bring(verb, digest), f"{verb}-{digest}")
            return _QUEUED
        return self._follow[verb](digest, now)

    def _is_held(self, digest: str, now: Residency) -> bool:
        """Whether no file is needed for it."""
        return digest in now.host or _in_slot(digest, now)

    async def _bring(self, verb: OrderVerb, digest: str) -> None:
        """The files first; what comes of the order then shows in the advert, as ever."""
        try:
            await self._stock.bring(digest)
        except (UnfitError, YardError, CapacityError, nats.errors.Error, OSError) as error:
            self._log.warning(Event.ADAPTER_NOT_FETCHED, digest=digest, order=verb, reason=str(error))
            return
        self._follow[verb](digest, self._engine.residency())

    async def end(self) -> None:
        """No order is followed any more."""
        await self._tasks.end()

    def _prefetch(self, digest: str, now: Residency) -> _Found:
        if now.serves_only not in (None, digest):
            return OrderOutcome.REFUSED, f"the worker serves only {now.serves_only}"
        if digest in now.host or _in_slot(digest, now):
            return _THERE
        if digest in now.loading:
            return _QUEUED
        if len(now.loading) >= MAX_LOADING:
            return _too_many(now)
        self._engine.prefetch(digest)
        return _QUEUED

    def _load(self, digest: str, now: Residency) -> _Found:
        if now.serves_only is not None:
            return OrderOutcome.REFUSED, f"the worker serves only {now.serves_only}, and uses no slots"
        if _in_slot(digest, now):
            return _THERE
        if len(now.loading) >= MAX_LOADING:
            return _too_many(now)
        self._engine.preload(digest)
        return _QUEUED

    def _pin(self, digest: str, now: Residency) -> _Found:
        if now.serves_only is not None:
            return OrderOutcome.REFUSED, f"the worker serves only {now.serves_only}, and uses no slots"
        if digest in now.pinned:
            return _THERE
        try:
            self._check_pins(digest, now)
            self._engine.pin(digest)
        except CapacityError as error:
            return OrderOutcome.NO_ROOM, str(error)
        return _QUEUED

    def _check_pins(self, digest: str, now: Residency) -> None:
        """Any adapter still finds a slot beside those that are pinned. Raises CapacityError."""
        ranks = {known: self._stock.rank_of(known) for known in {digest, *now.pinned}}
        pinned = {known: rank for known, rank in ranks.items() if rank is not None}
        columns = now.columns_total or Room.of([self._max_rank] * now.slot_count).columns
        check_pins(pinned, total=Room(slots=now.slot_count, columns=columns), max_rank=self._max_rank)

    def _unpin(self, digest: str, now: Residency) -> _Found:
        self._engine.unpin(digest)  # in any case: a pin may be on its way
        return _QUEUED if digest in now.pinned else _THERE

    def _unload(self, digest: str, now: Residency) -> _Found:
        held = digest in now.host or digest in now.loading or _in_slot(digest, now)
        self._engine.unload(digest)
        return _QUEUED if held or digest in now.pinned else _THERE

    def _dedicate(self, digest: str, now: Residency) -> _Found:
        if now.serves_only == digest:
            return _THERE
        self._engine.dedicate(digest)
        return _QUEUED

    def _undedicate(self, digest: str, now: Residency) -> _Found:
        if now.serves_only is None:
            return _THERE
        if now.serves_only != digest:
            return OrderOutcome.REFUSED, f"the worker serves only {now.serves_only}"
        self._engine.dedicate(None)
        return _QUEUED


def _too_many(now: Residency) -> _Found:
    return OrderOutcome.NO_ROOM, f"{len(now.loading)} adapters are on their way, and {MAX_LOADING} may be"


def _in_slot(digest: str, now: Residency) -> bool:
    return any(slot.digest == digest for slot in now.slots)


def _answer(digest: str, found: _Found) -> OrderAnswer:
    outcome, detail = found
    return OrderAnswer(digest=digest, outcome=outcome, detail=detail)
