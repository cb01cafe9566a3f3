"""Keeps adapters where they shall be: looks once a second, and at once when somebody comes, goes or declares.

Only the active dispatcher gives orders; the others look too, so that one that takes over knows what there is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable

import nats.errors
import structlog

from lorayard_dispatcher.audit import Audit
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.orders import Orders
from lorayard_dispatcher.placements import wishes
from lorayard_dispatcher.planning.amends import Order
from lorayard_dispatcher.planning.keeper import Keeper, Question
from lorayard_dispatcher.planning.placement import Site, Target, Wish, barred
from lorayard_dispatcher.planning.rankings import Rankings
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.sites import demand, site
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.order import OrderOutcome, OrderVerb
from lorayard_schemas.placement import AdapterTier
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.alias_book import AliasBook
from lorayard_shared.jobs.placements import Placements
from lorayard_shared.logs import Event

LOOK_SECONDS = 1.0
"""Workers beat as often, so nothing more would be seen."""

GATHER_SECONDS = 0.05
"""From a change to the look at it: a fleet that starts comes worker by worker."""

Barred = tuple[dict[str, frozenset[str]], frozenset[str]]
"""Adapters that workers may not serve: by worker, and of one that is not known yet."""


class Keeping:
    """One dispatcher's keeper, and what moves it."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        pool: Pool,
        registry: AdapterRegistry,
        aliases: AliasBook,
        orders: Orders,
        audit: Audit,
        spawn: Callable[[Coroutine[object, object, object], str], None],
        infers: bool,
        is_blind: Callable[[], bool],
    ) -> None:
        self.placements = Placements()
        self.keeper = Keeper(infers=infers)
        self.is_active: Callable[[], bool] = lambda: False
        """Whether this dispatcher is the one that gives orders; its process says so once it is known."""
        self._is_blind = is_blind
        self.trouble: dict[tuple[str, str], str] = {}
        """Worker and digest -> what it answered to an order that it did not follow."""
        self._fleet, self._pool, self._registry = fleet, pool, registry
        self.aliases = aliases
        self._orders, self._audit, self._spawn = orders, audit, spawn
        self.declaring = asyncio.Lock()
        """Held while a declaration is judged and written: what is judged next counts it."""
        self.rankings = Rankings()
        """For judging declarations."""
        self._looking = asyncio.Lock()
        self._barred: Barred = ({}, frozenset())
        self._wishes: dict[str, Wish] | None = None
        self._was_active = False
        self._look_at = 0.0
        self._log = structlog.get_logger()

    def on_placement(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of declarations."""
        self.placements.on_change(key, value)
        self.on_declared()

    def on_declared(self) -> None:
        """What there is to declare about, or what was, has changed."""
        self._wishes = None
        self._registry.changed = True  # what may be brought in before anybody asks
        self.look_soon()

    def look_soon(self) -> None:
        """Something has changed that says where adapters shall be."""
        self._look_at = min(self._look_at, time.monotonic() + GATHER_SECONDS)

    def look_if_due(self, now: float) -> None:
        """To be called often; `now` is monotonic seconds."""
        if now >= self._look_at and not self._looking.locked():
            self._look_at = now + LOOK_SECONDS
            self._spawn(self.look(now), "look-at-placement")

    async def look(self, now: float) -> None:
        """Find where everything shall be, tell the planner, and have workers told what is amiss."""
        async with self._looking:
            question = self._ask(now)
            if question is not None:
                targets, self._barred = await asyncio.to_thread(_answer, question)
                self.keeper.settle(question, targets)
            self._fleet.bar(*self._barred)
            active = self._was_active and self.is_active()  # an answer takes a while
            if active and not self._is_blind():
                for order in self.keeper.orders(now):
                    self._spawn(self._send(order), f"{order.verb}-{order.worker}")
            # Of orders that are not wanted any more, or that another dispatcher gives, nothing is to be told.
            self.trouble = {
                at: told for at, told in self.trouble.items() if active and self.keeper.minds(*at)
            }

    def _ask(self, now: float) -> Question | None:
        active = self.is_active()
        if active and not self._was_active:
            self.keeper.inference.begin_anew()
        self._was_active = active
        return self.keeper.ask(
            now,
            sites=self.sites(now),
            wishes=self.wishes().values(),
            demand=demand(self._fleet.views(now, time.time()), self._pool.queues, self._registry.bytes_of),
            base_of=self._registry.base_of,
        )

    def wishes(self) -> dict[str, Wish]:
        """What was declared, by digest."""
        if self._wishes is None:
            self._wishes = wishes(self.placements, self._registry, self.aliases)
        return self._wishes

    def kept_ready(self, digests: Iterable[str]) -> list[str]:
        """Those of some adapters that may be brought in before anybody asks."""
        wanted = self.wishes()
        return [
            digest
            for digest in digests
            if digest not in wanted or wanted[digest].tier is not AdapterTier.ON_DEMAND
        ]

    def sites(self, now: float) -> list[Site]:
        """The live workers as placing sees them."""
        return [site(known) for known in self._fleet.living(now)]

    async def _send(self, order: Order) -> None:
        adapter = self._registry.labels.get(order.digest, order.digest)
        self._audit.kept(order)
        try:
            reply = await self._orders.ask(order.worker, order.verb, (order.digest,))
            answer = reply.answers[0]
            outcome, detail = answer.outcome.value, answer.detail
        except (nats.errors.Error, MalformedMessageError, IndexError) as error:
            outcome, detail = "no_answer", str(error) or type(error).__name__
        told = {
            "worker": order.worker,
            "adapter": adapter,
            "order": order.verb.value,
            "because": order.because,
        }
        if outcome in (OrderOutcome.QUEUED, OrderOutcome.THERE):
            self.trouble.pop((order.worker, order.digest), None)
            self._log.info(Event.PLACEMENT_ORDERED, **told)
            return
        self.trouble[order.worker, order.digest] = f"worker {order.worker}: {order.verb}: {outcome}: {detail}"
        self._log.warning(Event.PLACEMENT_REFUSED, **told, reason=f"{outcome}: {detail}")
        if outcome == OrderOutcome.UNKNOWN_ADAPTER:
            self._fleet.on_lacking(order.worker, order.digest)
        elif outcome == OrderOutcome.NO_ROOM and order.verb is OrderVerb.PIN:
            self.keeper.unfit(order, time.monotonic())
        self.look_soon()


def _answer(question: Question) -> tuple[dict[str, Target], Barred]:
    """In a thread of its own: it takes longer than a loop may be held."""
    targets = question.answer()
    return targets, barred(question.sites, targets)
