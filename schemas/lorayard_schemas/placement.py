"""Where an adapter shall be: what was declared (bucket `yard_placements`), and what a dispatcher makes of it.

A declaration is kept under the adapter's name, so that it goes on for the next version, or under
`name@version` for that version alone, which then counts before the name's.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import BASE, AdapterSpec, key_token, split_version

MOST_REPLICAS = 1000
MOST_MATCHERS = 64
MOST_TOLD = 64
"""Adapters in one answer: a page for people."""

_NAME, _VALUE = r"[a-z0-9][a-z0-9_-]{0,62}", r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?"
Matcher = Annotated[str, StringConstraints(pattern=rf"^{_NAME}(={_VALUE})?$")]
"""A worker's name, or `label=value` of what workers are told by `LORAYARD_LABELS`."""


class AdapterTier(StrEnum):
    """How an adapter is served."""

    AUTO = "auto"
    """Shared, and merged while its traffic alone fills most of a worker."""
    MERGED = "merged"
    """Folded into the base weights of workers that serve nothing else."""
    SHARED = "shared"
    """In slots, beside others."""
    ON_DEMAND = "on_demand"
    """Loaded for its jobs, and forgotten after them."""


class AdapterPriority(StrEnum):
    """What one job of an adapter counts where slots, host memory and disks are dealt out."""

    LOW = "low"
    """A quarter of a usual one."""
    NORMAL = "normal"
    HIGH = "high"
    """Four usual ones."""

    @property
    def doublings(self) -> int:
        """Of its worth beside a usual adapter's: two are enough to stand out, and few enough that four jobs,
        or four seconds of waiting, still make up for it."""
        return {AdapterPriority.LOW: -2, AdapterPriority.NORMAL: 0, AdapterPriority.HIGH: 2}[self]


def _placeable(spec: str) -> str:
    if spec == BASE:
        raise ValueError("the base model is no adapter: it is on every worker that is not merged")
    return spec


PlacedSpec = Annotated[AdapterSpec, AfterValidator(_placeable)]


class Placement(Message):
    """One declaration. All defaults: as if nothing had been declared."""

    adapter: PlacedSpec
    tier: AdapterTier = AdapterTier.AUTO
    replicas_min: int = Field(default=0, ge=0, le=MOST_REPLICAS)
    """Workers that have it at hand: merged, in a slot, or in host memory one short copy away from it."""
    replicas_max: int | None = Field(default=None, ge=1, le=MOST_REPLICAS)
    """Workers that may; None: as many as there are."""
    on: tuple[Matcher, ...] = Field(default=(), max_length=MOST_MATCHERS)
    """Workers that fit any of these come into question; none: all."""
    only: bool = False
    """Nowhere else, even if none of them lives: its jobs wait. Else they may go anywhere then."""
    pin: bool = False
    """Its replicas, one at least, stay in their slots."""
    priority: AdapterPriority = AdapterPriority.NORMAL
    """Whose turn it is among equals; a name's counts for all its versions that have no declaration."""
    declared_at: float = 0.0
    """Unix seconds."""

    @property
    def asks_nothing(self) -> bool:
        """Whether it is as if nothing had been declared."""
        return self == Placement(adapter=self.adapter, declared_at=self.declared_at)

    @property
    def told(self) -> str:
        """In words."""
        most = "" if self.replicas_max is None else self.replicas_max
        parts = [f"tier {self.tier.value}", f"replicas {self.replicas_min}:{most}"]
        if self.on:
            parts.append(f"{'only' if self.only else 'preferably'} on {', '.join(self.on)}")
        if self.pin:
            parts.append("pinned")
        if self.priority is not AdapterPriority.NORMAL:
            parts.append(f"priority {self.priority.value}")
        return ", ".join(parts)


def placement_key(spec: str) -> str:
    """The bucket key of a declaration."""
    name, version = split_version(spec)
    return key_token(name) if version is None else f"{key_token(name)}.{key_token(version)}"


class PlaceAdapter(Message):
    """A wish to declare; what is None stays as it was declared before."""

    adapter: str
    tier: str | None = None
    replicas_min: int | None = None
    replicas_max: int | None = None
    no_replicas_max: bool = False
    """Any number again."""
    on: tuple[str, ...] | None = None
    only: bool | None = None
    pin: bool | None = None
    priority: str | None = None
    reset: bool = False
    """Begin from the defaults."""


class PlaceRefusal(Part):
    """Why a declaration cannot be held."""

    field: str
    reason: str


class PlaceReply(Message):
    """What became of a wish: a declaration, or a refusal that changed nothing."""

    placement: Placement | None = None
    refusal: PlaceRefusal | None = None
    warnings: tuple[str, ...] = ()
    before: Placement | None = None
    """What was declared until then; None: nothing that could be read."""
    revision: int = Field(default=0, ge=0)
    """Of the bucket, after it; 0: nothing was declared, or an older dispatcher did it."""


class PlacedAdapter(Part):
    """Where an adapter should be, and is."""

    adapter: str
    """`name@version`."""
    tier: AdapterTier
    """In effect: of `auto` what was inferred."""
    declared: Placement | None = None
    """None: the tier is inferred, and nothing else is asked."""
    merged: tuple[str, ...] = ()
    """Workers that are to serve it alone."""
    replicas: tuple[str, ...] = ()
    """Workers that are to have it at hand."""
    allowed: tuple[str, ...] | None = None
    """The only workers that may have it; None: all."""
    is_merged: tuple[str, ...] = ()
    in_slot: tuple[str, ...] = ()
    in_host: tuple[str, ...] = ()
    """Workers as they say themselves."""
    short: int = 0
    """Replicas that no live worker can take."""
    demand_rows: float = 0.0
    """Jobs that run or wait, smoothed."""
    trouble: tuple[str, ...] = ()
    """What workers answered to orders that were not followed."""

    @property
    def kept(self) -> bool:
        """Whether it is where it should be."""
        there = {*self.is_merged, *self.in_slot, *self.in_host}
        stray = set[str]() if self.allowed is None else set(self.in_slot) - set(self.allowed)
        if self.short or stray:
            return False
        return set(self.is_merged) >= set(self.merged) and there >= set(self.replicas)


class AskPlacements(Message):
    """Where is an adapter? None: all that are declared, or merged; those out of place first."""

    adapter: str | None = None


class PlacementReport(Message):
    """A dispatcher's answer."""

    dispatcher: str
    active: bool = True
    """Whether it is the one that gives the orders."""
    adapters: tuple[PlacedAdapter, ...] = ()
    total: int = 0
    """Of which `adapters` has no more than fit a page."""
    kept: int = 0
