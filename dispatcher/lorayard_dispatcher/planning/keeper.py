"""Keeps adapters where they shall be: finds it anew at each look, and repeats what was not followed.

An order is repeated until an advert shows that it was followed, with longer and longer pauses: a worker may
be busy, start anew, or find that it cannot. A worker that is merged, or becomes shared again, is asked
nothing else meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lorayard_dispatcher.planning.amends import Order, amends
from lorayard_dispatcher.planning.placement import Site, Target, Wish, place
from lorayard_dispatcher.planning.rankings import Rankings
from lorayard_dispatcher.planning.tiers import Inference
from lorayard_schemas.order import OrderVerb
from lorayard_schemas.placement import AdapterTier

AGAIN_SECONDS = 5.0
"""Until an order is repeated for the first time: a load takes 0.3 s, a merge and the rows before it some."""
MOST_AGAIN_SECONDS = 160.0
"""Each repetition waits twice as long as the one before, up to this."""

MOST_OPEN = 8
"""Orders under way at one worker, which reads one adapter from disk after the other."""

UNFIT_SECONDS = 600.0
"""A worker that had no room for a pin, or cannot merge an adapter, is not asked sooner; others take its place
meanwhile."""

MOST_MERGES = 3
"""Not every kind of adapter can be merged, and each attempt costs a worker its other rows."""

QUIET_SECONDS = 30.0
"""An adapter on demand is forgotten when nothing of it ran or waited for so long: a job may be near."""


@dataclass(frozen=True, slots=True)
class _Sent:
    at: float
    tries: int = 1

    @property
    def again_at(self) -> float:
        return self.at + min(AGAIN_SECONDS * 2.0 ** min(self.tries - 1, 10), MOST_AGAIN_SECONDS)

    @property
    def forgotten_at(self) -> float:
        """An order that is wanted again sooner waits as if it had been wanted all the time."""
        return 2 * self.again_at - self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Where everything shall be. It is answered apart from the keeper: with a thousand workers and as many
    declarations that takes up to a second, which would hold up a loop."""

    sites: tuple[Site, ...]
    wishes: dict[str, Wish]
    rankings: Rankings  # of the last question: only one is answered at a time

    @property
    def known(self) -> tuple[tuple[object, ...], tuple[Wish, ...]]:
        """All that says what the answer is."""
        return tuple(site.standing for site in self.sites), tuple(self.wishes.values())

    def answer(self) -> dict[str, Target]:
        """Targets by digest."""
        return place(self.sites, self.wishes.values(), self.rankings)


@dataclass(slots=True, kw_only=True)
class Keeper:
    """What was asked of whom, and how traffic has been. Times are monotonic seconds."""

    infers: bool = True
    """Whether traffic may have adapters merged that nobody declared to be."""
    inference: Inference = field(default_factory=Inference)
    sites: tuple[Site, ...] = ()
    wishes: dict[str, Wish] = field(default_factory=dict[str, Wish])
    targets: dict[str, Target] = field(default_factory=dict[str, Target])
    """By digest, as of the last look."""
    _placed: tuple[tuple[object, ...], tuple[Wish, ...]] = ((), ())
    """What the targets were found from."""
    _rankings: Rankings = field(default_factory=Rankings)
    _sent: dict[tuple[str, int, OrderVerb, str], _Sent] = field(
        default_factory=dict[tuple[str, int, OrderVerb, str], _Sent]
    )
    _unfit: dict[tuple[str, int, str], float] = field(default_factory=dict[tuple[str, int, str], float])
    """Worker, epoch and digest -> until when it is not asked to pin or merge it."""
    _wanted: frozenset[tuple[str, str]] = frozenset()
    """Worker and digest of the orders that were wanted at the last look."""
    _asked_at: dict[str, float] = field(default_factory=dict[str, float])
    """Adapters on demand: when something of them last ran or waited, or they were first seen."""

    def look(
        self,
        now: float,
        *,
        sites: Iterable[Site],
        wishes: Iterable[Wish],
        demand: Mapping[str, float],
        base_of: Mapping[str, str],
    ) -> None:
        """Find where everything shall be: ask, and answer at once. See `ask`."""
        question = self.ask(now, sites=sites, wishes=wishes, demand=demand, base_of=base_of)
        if question is not None:
            self.settle(question, question.answer())

    def ask(
        self,
        now: float,
        *,
        sites: Iterable[Site],
        wishes: Iterable[Wish],
        demand: Mapping[str, float],
        base_of: Mapping[str, str],
    ) -> Question | None:
        """What has to be found out; None: what was found before holds. `wishes` are what was declared,
        `demand` is rows by digest."""
        declared = {wish.digest: wish for wish in wishes}
        self._unfit = {key: until for key, until in self._unfit.items() if now < until}
        self.sites = tuple(self._as_taken(site, declared) for site in sites)
        if self.infers:
            fixed = [
                digest for digest, wish in declared.items() if wish.pin or wish.tier is not AdapterTier.AUTO
            ]
            self.inference.look(now, demand=demand, sites=self.sites, base_of=base_of, fixed=fixed)
        wanted = self._with_inferred(declared, base_of)
        self._note_quiet(now, demand, wanted)
        question = Question(sites=self.sites, wishes=wanted, rankings=self._rankings)
        return None if question.known == self._placed else question

    def settle(self, question: Question, targets: dict[str, Target]) -> None:
        """Take the answer."""
        self._placed = question.known
        self.wishes, self.targets = question.wishes, targets

    def orders(self, now: float) -> tuple[Order, ...]:
        """What is to be sent now; it counts as sent."""
        quiet = [digest for digest, at in self._asked_at.items() if now - at >= QUIET_SECONDS]
        wanted = set[tuple[str, int, OrderVerb, str]]()
        due: list[Order] = []
        open_ = Counter(key[:2] for key, sent in self._sent.items() if now < sent.again_at)
        for order in amends(self.sites, self.wishes, self.targets, quiet):
            wanted.add(order.key)
            sent, at = self._sent.get(order.key), order.key[:2]
            if order.verb is OrderVerb.DEDICATE and sent is not None and sent.tries >= MOST_MERGES:
                if now >= sent.again_at:
                    self.unfit(order, now)
                continue
            if open_[at] < MOST_OPEN and (sent is None or now >= sent.again_at):
                open_[at] += 1
                self._sent[order.key] = _Sent(now, 1 if sent is None else sent.tries + 1)
                due.append(order)
        self._sent = {
            key: sent for key, sent in self._sent.items() if key in wanted or now < sent.forgotten_at
        }
        self._wanted = frozenset((worker, digest) for worker, _, _, digest in wanted)
        return tuple(due)

    def minds(self, worker: str, digest: str) -> bool:
        """Whether what a worker answered about an adapter says why something is not as it should be."""
        if (worker, digest) in self._wanted:
            return True
        return any(site.worker == worker and digest in site.unfit for site in self.sites)

    def unfit(self, order: Order, now: float) -> None:
        """The worker cannot follow it, and others are to be asked."""
        self._unfit[order.worker, order.epoch, order.digest] = now + UNFIT_SECONDS

    def _as_taken(self, site: Site, declared: Mapping[str, Wish]) -> Site:
        """With what it could not do; one that somebody else gave to an adapter is left alone."""
        unfit = frozenset(
            digest for worker, epoch, digest in self._unfit if (worker, epoch) == (site.worker, site.epoch)
        )
        foreign = site.dedicated is not None and not self.infers and site.dedicated not in declared
        return replace(site, unfit=unfit, bound=site.bound or foreign) if unfit or foreign else site

    def _with_inferred(self, declared: Mapping[str, Wish], base_of: Mapping[str, str]) -> dict[str, Wish]:
        levels = self.inference.levels() if self.infers else {}
        found = dict(declared)
        for digest, level in sorted(levels.items()):
            wish = declared.get(digest) or Wish(digest=digest, base_digest=base_of.get(digest))
            found[digest] = replace(wish, inferred=level)
        return found

    def _note_quiet(self, now: float, demand: Mapping[str, float], wishes: Mapping[str, Wish]) -> None:
        on_demand = [wish.digest for wish in wishes.values() if wish.tier is AdapterTier.ON_DEMAND]
        self._asked_at = {
            digest: now if demand.get(digest) else self._asked_at.get(digest, now) for digest in on_demand
        }
