"""One conversation as a dispatcher remembers it: which adapter it has, and which worker has its cache."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.session import MAX_BOUND, SessionRecord
from lorayard_shared.jobs.resolve import Kept, Resolution, Rule

GROWN = 2.0
"""Times the tokens that were written last: then they are written anew, so a long conversation costs a few
writes for its growth and not one for each turn."""


@dataclass(slots=True, kw_only=True)
class Session:
    """What its turns so far have left. Times are unix seconds."""

    tenant: str
    name: str
    readable: bool = True
    """Whether it is known what the bucket holds; while it is not, a turn that names no adapter sets none."""
    adapter: AdapterRef | None = None
    alias: str | None = None
    """That led to the adapter."""
    origin: str | None = None
    """What had chosen the adapter then: a `Choice`."""
    bound: dict[str, str] = field(default_factory=dict[str, str])
    """`name@alias` -> the version that turns of several adapters had through it."""
    chosen_at: float = -math.inf
    worker: str | None = None
    tokens: float = 0.0
    turned_at: float = -math.inf
    """When worker and tokens were true."""
    stored: SessionRecord | None = None
    """As last heard from the bucket, or written there."""

    @property
    def chosen(self) -> bool:
        """Whether a turn has brought an adapter, or the base model."""
        return self.chosen_at > -math.inf

    @property
    def kept(self) -> Kept | None:
        """What the next turn goes on with."""
        return Kept(adapter=self.adapter, alias=self.alias, origin=self.origin) if self.chosen else None

    def choose(
        self, adapter: AdapterRef | None, at: float, alias: str | None = None, origin: str | None = None
    ) -> None:
        """A job that was published at `at` brings an adapter; one that is older than the choice does not."""
        if at >= self.chosen_at:
            self.adapter, self.chosen_at, self.alias, self.origin = adapter, at, alias, origin

    def turned(self, found: Resolution, at: float) -> None:
        """A turn, published at `at`, was resolved. Several adapters are of their own turn only, but for the
        versions that aliases led to; what rules add is added anew to what the session keeps."""
        chosen = found.chosen
        if chosen.composition is None:
            alias = chosen.alias.name if chosen.alias is not None else None
            explicit = chosen.rule == Rule.EXPLICIT
            word = chosen.rule.partition(":")[0]
            origin = self.origin if word == Rule.SESSION else word
            self.resolved(chosen.ref, at, explicit=explicit, alias=alias, origin=origin)
        if found is not chosen or chosen.composition is not None:
            self._bind(found.bound)

    def _bind(self, bound: dict[str, str]) -> None:
        for alias, version in bound.items():
            self.bound.pop(alias, None)  # the last ones stay
            self.bound[alias] = version
        while len(self.bound) > MAX_BOUND:
            del self.bound[next(iter(self.bound))]

    def resolved(
        self,
        adapter: AdapterRef | None,
        at: float,
        *,
        explicit: bool,
        alias: str | None = None,
        origin: str | None = None,
    ) -> None:
        """A turn got an adapter. One that only kept what there was must not seem a later choice than that of
        another dispatcher."""
        first = self.readable and not self.chosen
        if explicit or first or (self.chosen and adapter != self.adapter):
            self.choose(adapter, at, alias, origin)

    def hear(self, record: SessionRecord) -> None:
        """What stands in the bucket now: the later choice stays, whoever made it, and the later turn."""
        self.stored = record
        if record.chosen_at is not None:
            self.choose(record.adapter, record.chosen_at, record.alias, record.origin)
        if record.at >= self.turned_at:
            self._bind(record.bound)
            self.worker, self.tokens, self.turned_at = record.worker or None, record.tokens, record.at

    def handed(self, worker: str, tokens: float, now: float) -> None:
        """A turn with a conversation of so many tokens is at a worker."""
        self.worker, self.tokens, self.turned_at = worker, tokens, now

    def to_write(self, now: float, ttl_seconds: float) -> SessionRecord | None:
        """What the bucket should hold instead of what it holds; None while that will do."""
        if self.worker is None or not (self.chosen or self.bound):
            return None
        stored = self.stored
        if (
            stored is not None
            and (stored.adapter, stored.alias, stored.worker) == (self.adapter, self.alias, self.worker)
            and (stored.origin, stored.bound) == (self.origin, self.bound)
            and self.tokens <= GROWN * stored.tokens
            and 0.0 <= now - stored.at < ttl_seconds / 2
        ):
            return None
        return SessionRecord(
            tenant=self.tenant,
            session=self.name,
            adapter=self.adapter,
            alias=self.alias,
            chosen_at=max(0.0, self.chosen_at) if self.chosen else None,
            origin=self.origin,
            bound=dict(self.bound),
            worker=self.worker,
            tokens=self.tokens,
            at=now,
        )

    def is_over(self, now: float, ttl_seconds: float) -> bool:
        """Whether the bucket has dropped it by now, as far as one can tell here."""
        return self.stored is not None and now - self.stored.at >= ttl_seconds
