"""What is asked of the yard: each order's kind, and how it may end, drawn from the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from lorayard import GenerateRequest
from lorayard_schemas.retry import Retry

TENANTS: Final = ("ledger-a", "ledger-b", "ledger-c")
GHOSTS: Final = "ledger-ghosts"
"""The tenant of jobs that never are: with few jobs of its own a cancel looks through all of them."""

ROLLING: Final = "acme/tiny/rolling"
"""The adapter whose versions are pushed, promoted and rolled back meanwhile."""
ALIAS: Final = f"{ROLLING}@stable"
GATEWAY_TENANT: Final = "default"
"""Of a gateway without keys."""
PROBES: Final = "ledger-probes"
"""The tenant of jobs that ask whether the yard is well."""

ADAPTERS: Final = tuple(f"acme/tiny/ledger-{number}" for number in range(6))
UNKNOWN_ADAPTER: Final = "acme/tiny/nobody-made-it"
MOST_ATTEMPTS: Final = 8
"""Of a job that fails each second time: one in 256 is given up, so that this is seen too."""
JOBS_PER_POISON: Final = 2500
"""Each costs three workers, and holds one of them free meanwhile."""
JOBS_PER_GHOST: Final = 500


class Kind(StrEnum):
    """What an order is, and so how it may end."""

    PLAIN = "plain"
    TWICE = "twice"
    """Submitted again under its key, at once and once more when everything is in."""
    SLOW = "slow"
    STREAM = "stream"
    FLAKY = "flaky"
    """Each run fails with one half."""
    HOPELESS = "hopeless"
    REFUSED = "refused"
    """The engine says that no attempt can succeed."""
    UNKNOWN = "unknown_adapter"
    DELAYED = "delayed"
    RECALLED = "recalled"
    """For later, and cancelled before."""
    CANCELLED = "cancelled"
    """While it is queued, or runs, or has ended."""
    DEADLINE = "deadline"
    POISON = "poison"
    """Ends each worker that runs it."""
    GHOST = "ghost"
    """Never submitted, only cancelled."""
    ALIAS = "alias"
    """By an alias that is led elsewhere meanwhile."""
    HTTP = "http"
    """Through the gateway, asked again under its key until it is answered."""
    PROBE = "probe"
    """Not drawn: whoever measures a recovery asks it."""


SHARES: Final[Mapping[Kind, int]] = {
    Kind.PLAIN: 22,
    Kind.TWICE: 10,
    Kind.SLOW: 8,
    Kind.STREAM: 6,
    Kind.FLAKY: 10,
    Kind.HOPELESS: 3,
    Kind.REFUSED: 2,
    Kind.UNKNOWN: 2,
    Kind.DELAYED: 10,
    Kind.RECALLED: 3,
    Kind.CANCELLED: 8,
    Kind.DEADLINE: 6,
    Kind.ALIAS: 6,
    Kind.HTTP: 4,
}
"""Of a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One job to be."""

    key: str
    kind: Kind
    tenant: str
    request: GenerateRequest
    cancel_after_seconds: float | None = None
    """From when it was accepted."""


def draw_orders(draw: Random, jobs: int, only: Sequence[Kind] = ()) -> list[Order]:
    """So many, and the same for the same generator; of some kinds only, where some are named."""
    shares = {kind: share for kind, share in SHARES.items() if not only or kind in only}
    kinds = draw.choices(list(shares), weights=list(shares.values()), k=jobs)
    for kind, each in ((Kind.POISON, JOBS_PER_POISON), (Kind.GHOST, JOBS_PER_GHOST)):
        for _ in range(0 if only else max(1, jobs // each)):
            kinds[draw.randrange(jobs)] = kind
    return [_order(draw, number, kind) for number, kind in enumerate(kinds)]


def tenants_of(orders: Sequence[Order]) -> list[str]:
    """Each once, in alphabetical order."""
    return sorted({order.tenant for order in orders})


def _order(draw: Random, number: int, kind: Kind) -> Order:
    key = f"order-{number}-{kind}"
    tenant = {Kind.GHOST: GHOSTS, Kind.HTTP: GATEWAY_TENANT}.get(kind, draw.choice(TENANTS))
    cancelled = kind in (Kind.CANCELLED, Kind.RECALLED, Kind.GHOST)
    return Order(
        key=key,
        kind=kind,
        tenant=tenant,
        request=_request(draw, key, kind),
        cancel_after_seconds=draw.uniform(0.0, 1.5) if cancelled else None,
    )


def _request(draw: Random, key: str, kind: Kind) -> GenerateRequest:
    adapter = draw.choice([*ADAPTERS, "base"])
    seconds = draw.uniform(0.3, 1.5)
    retry = Retry(max_attempts=MOST_ATTEMPTS, base_seconds=0.1, cap_seconds=0.5)
    lane = draw.choice(["urgent", "high", "normal", "normal", "bulk"])
    prompts = {
        Kind.SLOW: f"slow {seconds:.2f} {key}",
        Kind.CANCELLED: f"slow {seconds:.2f} {key}",
        Kind.DEADLINE: f"slow {seconds:.2f} {key}",
        Kind.FLAKY: f"flaky {key}",
        Kind.HOPELESS: f"hopeless {key}",
        Kind.REFUSED: f"refused {key}",
        Kind.POISON: f"poison {key}",
    }
    delays = {Kind.DELAYED: draw.uniform(0.3, 8.0), Kind.RECALLED: 3600.0}
    attempts = {Kind.FLAKY: retry, Kind.HOPELESS: retry.model_copy(update={"max_attempts": 2})}
    named = {Kind.UNKNOWN: UNKNOWN_ADAPTER, Kind.ALIAS: ALIAS}
    return GenerateRequest(
        prompts.get(kind, f"plain {key} " + "the quick brown fox " * draw.randrange(4)),
        adapter=named.get(kind, adapter),
        lane=lane,  # type: ignore[arg-type]  # one of the names above
        deadline_seconds=draw.uniform(0.3, 3.0) if kind is Kind.DEADLINE else None,
        delay_seconds=delays.get(kind),
        retry=attempts.get(kind),
        stream=kind is Kind.STREAM,
        idempotency_key=key,
    )


def probe(number: int) -> Order:
    """A job of who measures."""
    key = f"probe-{number}"
    request = GenerateRequest(f"plain {key}", idempotency_key=key, lane="urgent")
    return Order(key=key, kind=Kind.PROBE, tenant=PROBES, request=request)
