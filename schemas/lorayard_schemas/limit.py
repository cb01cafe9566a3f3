"""Limits of admission: how much a tenant, an adapter or a pair of both may ask of the yard (E5).

Kept in the bucket `yard_tenants`, under keys that begin with `limit.`. A dispatcher answers what is over a
limit with `limit_reached`, or lets it wait where the limit says so.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from lorayard_schemas.alias import Text
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import BASE, AdapterSpec, Tenant, key_token

LIMITS = "limit."
"""Begins the bucket keys of limits; other keys of the bucket are somebody else's."""

EACH_TENANT = "*"
"""As a tenant: every tenant by itself that has no limits of its own."""

MOST = 1e15
"""Nobody asks for more of anything; larger is a typing error, and sums of it would lose ones."""

_ANY = "_"

Amount = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class Measure(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Of prompt and answer: expected at first, and settled by what the job really used."""
    BYTES = "bytes"
    """Of the job as it was published, with a prompt that it only refers to."""


class Rate(Part):
    """So much in so many seconds, by a token bucket."""

    amount: Amount
    per_seconds: Annotated[float, Field(ge=0.001, le=86_400, allow_inf_nan=False)] = 1.0
    burst: Amount | None = None
    """At once, after a pause; None: one window's amount, and at least 1."""
    wait_seconds: Seconds = 0.0
    """A job over it waits for so long at most; 0: it is refused at once."""

    @property
    def size(self) -> float:
        """Of the bucket."""
        return max(1.0, self.amount) if self.burst is None else self.burst

    @property
    def per_second(self) -> float:
        """What comes in."""
        return self.amount / self.per_seconds


class Limits(Message):
    """All limits of one tenant, one adapter, or one tenant's use of one adapter."""

    tenant: Tenant | None = None
    """`*`: every tenant by itself that has none of its own."""
    adapter: AdapterSpec | None = None
    """All its versions; `base` for the base model."""
    rates: dict[Measure, Rate] = Field(default_factory=dict[Measure, Rate])
    per_day: dict[Measure, Amount] = Field(default_factory=dict[Measure, Amount])
    """Quotas of a calendar day, UTC."""
    per_month: dict[Measure, Amount] = Field(default_factory=dict[Measure, Amount])
    """Quotas of a calendar month, UTC."""
    max_pending: dict[Measure, Amount] = Field(default_factory=dict[Measure, Amount])
    """Accepted and not answered yet, waiting or running."""
    why: Text = ""
    by: Text = ""
    at: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    """Unix seconds."""

    @model_validator(mode="after")
    def _sound(self) -> Limits:
        if self.tenant is None and self.adapter is None:
            raise ValueError("name a tenant, an adapter or both")
        if self.adapter is not None and self.adapter != BASE and "@" in self.adapter:
            raise ValueError(f"{self.adapter!r} names one version: limits are of all versions of an adapter")
        if self.is_empty:
            raise ValueError("name at least one limit")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether it limits nothing."""
        return not (self.rates or self.per_day or self.per_month or self.max_pending)

    @property
    def label(self) -> str:
        """Whose limits, for people."""
        return label_of(self.tenant, self.adapter)

    @property
    def names(self) -> tuple[str, ...]:
        """Its limits as `limits rm` and refusals name them."""
        return (
            *(f"{measure}_rate" for measure in self.rates),
            *(f"{measure}_per_day" for measure in self.per_day),
            *(f"{measure}_per_month" for measure in self.per_month),
            *(pending_name(measure) for measure in self.max_pending),
        )


def pending_name(measure: Measure) -> str:
    """How the limit on what is pending is called."""
    return "max_pending" if measure is Measure.REQUESTS else f"max_pending_{measure}"


ALL_NAMES = tuple(
    name
    for measure in Measure
    for name in (f"{measure}_rate", f"{measure}_per_day", f"{measure}_per_month", pending_name(measure))
)
"""Every limit there is, by name."""


def label_of(tenant: str | None, adapter: str | None) -> str:
    """Whose limits, for people."""
    whose = "each tenant" if tenant == EACH_TENANT else f"tenant {tenant}"
    if adapter is None:
        return whose
    named = "the base model" if adapter == BASE else f"adapter {adapter}"
    return named if tenant is None else f"{named} for {whose}"


def limits_key(tenant: str | None, adapter: str | None) -> str:
    """The bucket key of somebody's limits."""
    parts = [_ANY if part is None else f"a={key_token(part)}" for part in (tenant, adapter)]
    return LIMITS + ".".join(parts)


class ReachedLimit(Part):
    """Which limit a job was over."""

    name: str
    """As `requests_rate` or `tokens_per_day`."""
    tenant: str | None = None
    adapter: str | None = None
    """Whose it is; both: of the pair."""
    value: float = 0.0
    """The limit itself."""
    per_seconds: float | None = None
    """Of a rate: its window."""
    used: float | None = None
    """So far, of a quota or of what is pending."""


class ClosedDoor(Message):
    """A dispatcher tells a tenant's clients what would surely be refused now (`yard.door.{tenant}`)."""

    limit: ReachedLimit
    adapter: str | None = None
    """Only jobs of this one; None: all of the tenant."""
    seconds: float = Field(ge=0.0, le=60.0)
    """From now on; 0: it is open again."""
    retry_after_seconds: float | None = None
    message: str = ""


class AskLimits(Message):
    """Asks one dispatcher how much is used of limits."""

    tenant: Annotated[str, StringConstraints(min_length=1)] | None = None
    """Only this one's; None: all."""
    adapter: str | None = None


class LimitUse(Part):
    """One limit, and what is used of it."""

    name: str
    value: float
    used: float
    """Of a rate: what is missing in its bucket now."""
    resets_in_seconds: float | None = None
    """Until a quota begins anew, or a bucket is full."""
    refused: int = 0
    """Jobs, since this dispatcher started."""


class LimitsInUse(Part):
    """Limits, and what is used of each."""

    tenant: str | None = None
    adapter: str | None = None
    uses: tuple[LimitUse, ...] = ()
    waiting: int = 0
    """Jobs that a rate keeps back now."""


class LimitsReport(Message):
    """One dispatcher's answer."""

    dispatcher: str
    limits: tuple[LimitsInUse, ...] = ()
    drain_per_second: float | None = None
    """Jobs that leave the queue; None: not known yet."""
    room_in_seconds: float | None = None
    """Until a full queue has room again, as jobs leave it now."""


Sum = Annotated[float, Field(allow_inf_nan=False)]
"""A bucket that was given what is no number would let everything in from then on."""


class SpentHere(Part):
    """What one dispatcher let in of one limit since it started, and what of it is pending."""

    spent: tuple[Sum, Sum, Sum]
    """Requests, tokens and bytes."""
    pending: tuple[Sum, Sum, Sum]
    owed: tuple[Sum, Sum, Sum] = (0.0, 0.0, 0.0)
    """Missing in the buckets of its rates: who hears of this dispatcher for the first time goes by that."""


class LimitGossip(Message):
    """What a dispatcher tells the others, several times a second while anything changes."""

    dispatcher: str
    started_at: Sum
    """Of this life of it: its sums began there."""
    gates: dict[str, SpentHere] = Field(default_factory=dict)
    """By `tenant` and `adapter` as one key."""
