"""Where adapters shall be: merged, at hand, allowed. No state: the same values, the same answer.

Replicas go by rendezvous hash, so that a worker that comes or goes moves only what must move, and every
dispatcher finds the same. Who is merged stays where it is while it can: moving it costs two workers a
pause. One worker of each base model is always left to everybody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from lorayard_dispatcher.planning.rankings import Rankings
from lorayard_schemas.placement import AdapterTier

LEFT_SLOTS = 1
"""Of each worker for adapters that are not pinned; the worker insists on as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A live worker as placing sees it."""

    worker: str
    marks: frozenset[str] = frozenset()  # its labels, as `label=value`; its name counts by itself
    base_digest: str = ""
    epoch: int = 0
    rows: int = 1
    slots: int = 0
    columns: int = 0  # that its slots share; 0: only their number counts
    dedicated: str | None = None
    bound: bool = False  # by its own settings: nobody else may change what it serves
    lacks: frozenset[str] = frozenset()
    unfit: frozenset[str] = frozenset()  # digests that it could not pin or merge
    resident: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    host: frozenset[str] = frozenset()
    coming: frozenset[str] = frozenset()  # on their way into host memory

    @property
    def standing(self) -> tuple[object, ...]:
        """All of it that says where adapters shall be."""
        return (
            self.worker, self.marks, self.base_digest, self.slots, self.columns,
            self.dedicated, self.bound, self.lacks, self.unfit,
        )  # fmt: skip

    def has(self, digest: str) -> bool:
        """Whether it is at hand there."""
        return self.dedicated == digest or digest in self.resident or digest in self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted for one adapter."""

    digest: str
    base_digest: str | None = None  # None fits every base model
    tier: AdapterTier = AdapterTier.AUTO
    least: int = 0
    most: int | None = None
    on: frozenset[str] = frozenset()
    only: bool = False
    pin: bool = False
    columns: int = 0
    worth: float = 1.0  # of one of its jobs beside usual ones
    inferred: int = 0  # of `auto`: workers that its traffic is worth

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing: the planner and its traffic decide alone."""
        return not (self.least or self.on or self.pin or self.merged) and self.most is None

    @property
    def merged(self) -> int:
        """Workers that it shall have for itself."""
        if self.tier is AdapterTier.MERGED:
            return max(1, self.least)
        if self.tier is AdapterTier.AUTO and not self.pin:
            return self.inferred if self.most is None else min(self.inferred, self.most)
        return 0

    @property
    def replicas(self) -> int:
        """Workers that shall have it at hand."""
        return max(self.least, 1) if self.pin else self.least

    @property
    def first(self) -> tuple[int, float, str]:
        """Whose turn it is: what was declared comes before what was inferred, then what is worth more."""
        return (int(self.tier is not AdapterTier.MERGED), -self.worth, self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one adapter shall be."""

    merged: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ()  # beside those; with a pin, in a slot
    allowed: frozenset[str] | None = None  # None: anywhere
    short: int = 0  # replicas that nobody can take
    short_merged: int = 0  # of those, workers that it would have for itself


def matches(site: Site, on: frozenset[str]) -> bool:
    """Whether the worker is one of those named."""
    return site.worker in on or not site.marks.isdisjoint(on)


def place(
    sites: Iterable[Site], wishes: Iterable[Wish], rankings: Rankings | None = None
) -> dict[str, Target]:
    """Digest -> where it shall be. `rankings` of the last time save most of the work."""
    wishes = sorted(wishes, key=lambda wish: wish.first)
    placing = _Placing(sites, rankings or Rankings())
    placing.rankings.see(placing.by_name, [wish.digest for wish in wishes if not wish.is_plain])
    return placing.place(wishes)


def barred(
    sites: Iterable[Site], targets: Mapping[str, Target]
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Worker -> adapters that it may not serve; and those that a worker not known yet may not."""
    limited = {digest: target.allowed for digest, target in targets.items() if target.allowed is not None}
    of_worker = {
        site.worker: frozenset(digest for digest, allowed in limited.items() if site.worker not in allowed)
        for site in sites
    }
    return of_worker, frozenset(limited)


@dataclass(slots=True)
class _Placing:
    sites: Sequence[Site]
    rankings: Rankings
    by_name: dict[str, Site] = field(default_factory=dict[str, Site])
    taken: dict[str, str] = field(default_factory=dict[str, str])
    """Worker -> the adapter that it serves alone."""
    pins: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Worker -> columns of each adapter that is pinned there."""

    def __init__(self, sites: Iterable[Site], rankings: Rankings) -> None:
        self.sites = sorted(sites, key=lambda site: site.worker)
        self.rankings = rankings
        self.by_name = {site.worker: site for site in self.sites}
        self.taken = {site.worker: site.dedicated for site in self.sites if site.bound and site.dedicated}
        self.pins = {}

    def place(self, wishes: Sequence[Wish]) -> dict[str, Target]:
        alone = set(self.taken.values())
        able = {
            wish.digest: self._able(wish)
            for wish in wishes
            if not wish.is_plain and (wish.merged or wish.on or wish.most is not None or wish.digest in alone)
        }
        merged = self._merge([wish for wish in wishes if wish.digest in able], able)
        return {wish.digest: self._target(wish, able, merged) for wish in wishes}

    def _target(
        self, wish: Wish, able: Mapping[str, Sequence[Site]], merged: Mapping[str, list[str]]
    ) -> Target:
        if wish.is_plain:
            return Target()
        if wish.digest in able:
            return self._share(wish, able[wish.digest], merged[wish.digest])
        return self._share(wish, self._ranked(wish), [])  # only the first few are looked at

    def _ranked(self, wish: Wish) -> Iterator[Site]:
        """Who has its base model and its files, the most attractive first."""
        for site in map(self.by_name.__getitem__, self.rankings.of(wish.digest)):
            if wish.base_digest in (None, site.base_digest) and wish.digest not in site.lacks:
                yield site

    def _able(self, wish: Wish) -> list[Site]:
        """Who could serve it, the most attractive first."""
        able = list(self._ranked(wish))
        if wish.on:
            named = [site for site in able if matches(site, wish.on)]
            able = named if named or wish.only else able
        return able

    def _merge(self, wishes: Sequence[Wish], able: Mapping[str, Sequence[Site]]) -> dict[str, list[str]]:
        """What was declared comes before what was inferred; then, who has a worker before who wants one."""
        merged = {
            wish.digest: [
                site.worker for site in able[wish.digest] if self.taken.get(site.worker) == wish.digest
            ]
            for wish in wishes
        }
        for declared in (True, False):
            turn = [wish for wish in wishes if (wish.tier is AdapterTier.MERGED) is declared and wish.merged]
            for wish in turn:
                held = [site for site in able[wish.digest] if site.dedicated == wish.digest]
                self._give(wish, held, merged[wish.digest], up_to=wish.merged)
            # In rounds, so that everybody gets a first worker before somebody gets a second.
            for count in range(1, max((wish.merged for wish in turn), default=0) + 1):
                for wish in turn:
                    free = sorted(able[wish.digest], key=lambda site: site.dedicated is not None)
                    self._give(wish, free, merged[wish.digest], up_to=min(count, wish.merged))
        return merged

    def _give(self, wish: Wish, sites: Sequence[Site], merged: list[str], *, up_to: int) -> None:
        """The first workers that others can spare."""
        for site in sites:
            if len(merged) >= up_to:
                return
            fit = site.worker not in self.taken and wish.digest not in site.unfit
            if fit and self._shared(site.base_digest) > 1:
                self.taken[site.worker] = wish.digest
                merged.append(site.worker)

    def _shared(self, base_digest: str) -> int:
        """Workers that serve everybody."""
        return sum(site.base_digest == base_digest and site.worker not in self.taken for site in self.sites)

    def _share(self, wish: Wish, able: Iterable[Site], merged: list[str]) -> Target:
        wanted = max(0, wish.replicas - len(merged))
        if wish.tier is AdapterTier.MERGED:
            able = list(able)
            wanted = max(0, min(wish.merged, len(able)) - len(merged))  # at hand, at least
        open_: Iterable[Site] = (site for site in able if site.worker not in self.taken and site.slots > 0)
        if wish.most is not None or wish.on:
            open_ = list(open_)
        fit = (site.worker for site in open_ if not wish.pin or self._pins(wish, site))
        replicas = list(islice(fit, wanted))
        if wish.pin:
            for worker in replicas:
                self.pins.setdefault(worker, []).append(wish.columns)
        allowed = None
        if wish.most is not None or wish.on:
            line = dict.fromkeys([*merged, *replicas, *(site.worker for site in open_)])
            allowed = frozenset(list(line)[: wish.most])
        lacking = wish.merged - len(merged) if wish.tier is AdapterTier.MERGED else 0
        return Target(
            merged=tuple(merged),
            replicas=tuple(replicas),
            allowed=allowed,
            short=max(0, wish.replicas - len(merged) - len(replicas), lacking),
            short_merged=max(0, lacking),
        )

    def _pins(self, wish: Wish, site: Site) -> bool:
        """Whether one more pin leaves room for others."""
        pinned = self.pins.get(site.worker, [])
        if wish.digest in site.unfit or len(pinned) + 1 + LEFT_SLOTS > site.slots:
            return False
        return not site.columns or sum(pinned) + wish.columns < site.columns
