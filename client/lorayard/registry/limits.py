"""`client.limits`: how much a tenant, an adapter or a pair of both may ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from pydantic import ValidationError

from lorayard.answering import Answering
from lorayard.asking import ask
from lorayard.errors import InvalidRequestError
from lorayard.registry.known import is_registered, read_registry
from lorayard_schemas.limit import (
    ALL_NAMES,
    AskLimits,
    Limits,
    LimitsReport,
    Measure,
    Rate,
    pending_name,
)
from lorayard_schemas.reasons import plain_reason
from lorayard_shared.registry.errors import LimitsUnknownError
from lorayard_shared.registry.limit_store import LimitStore

if TYPE_CHECKING:
    from lorayard.link import Link

_WINDOWS = {"second": 1.0, "minute": 60.0}
_PERIODS = {"day": "per_day", "month": "per_month"}


class LimitOptions(TypedDict, total=False):
    """Limits to set; what is not given stays as it was."""

    requests_per_second: float
    requests_per_minute: float
    tokens_per_second: float
    tokens_per_minute: float
    bytes_per_second: float
    bytes_per_minute: float
    burst: float
    """Requests at once, after a pause."""
    burst_tokens: float
    burst_bytes: float
    wait_seconds: float
    """A job over a rate waits for so long at most; 0: it is refused at once."""
    requests_per_day: float
    tokens_per_day: float
    bytes_per_day: float
    requests_per_month: float
    tokens_per_month: float
    bytes_per_month: float
    max_pending: float
    """Jobs accepted and not answered."""
    max_pending_tokens: float
    max_pending_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsChange:
    """What setting did."""

    limits: Limits
    registered: bool
    """Whether the adapter that they name is there; the base model always is."""


class AdmissionLimits:
    """The limits of one yard. Dispatchers go by a change within a second.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def list(self) -> list[Limits]:
        """All that are declared."""
        link = self._open_link()
        async with Answering(link):
            return await LimitStore(link.bus).list()

    async def use(self, *, tenant: str | None = None, adapter: str | None = None) -> LimitsReport:
        """What is used of them now, as one dispatcher knows it: of one tenant's, one adapter's, or of all.

        Raises:
            NoDispatcherError: nobody could be asked.
        """
        return await ask(self._open_link(), "limits", AskLimits(tenant=tenant, adapter=adapter), LimitsReport)

    async def set(
        self,
        *,
        tenant: str | None = None,
        adapter: str | None = None,
        reason: str,
        **options: Unpack[LimitOptions],
    ) -> LimitsChange:
        """Set limits of a tenant, an adapter (all its versions), or a tenant's use of an adapter.

        The tenant `*` stands for every tenant by itself that has none of its own.

        Raises:
            InvalidRequestError: a limit cannot be that, none is given, or there is no reason.
            ContendedError: others changed them every time that this was tried.
        """
        link = self._open_link()
        author = link.author(reason)
        if not author.reason:
            raise InvalidRequestError(field="reason", reason="say why: it is kept with the limits")
        if not options:
            raise InvalidRequestError(field="limits", reason="give at least one limit to set")

        def changed(now: Limits | None) -> Limits:
            signed = {"why": author.reason, "by": author.actor, "at": time.time()}
            return _made(tenant, adapter, now, {**options}, signed)

        async with Answering(link):
            limits = await LimitStore(link.bus).change(tenant, adapter, changed, author)
            registered = adapter is None or is_registered(await read_registry(link.bus), adapter)
        assert limits is not None, "made above"
        return LimitsChange(limits=limits, registered=registered)

    async def remove(
        self,
        *names: str,
        tenant: str | None = None,
        adapter: str | None = None,
        reason: str = "",
    ) -> Limits | None:
        """Take limits away: those named (`requests_rate`, `tokens_per_day`, `max_pending` ...), or all.

        Returns what is left; None: nothing.

        Raises:
            LimitsUnknownError: just these are not limited.
            ContendedError: others changed them every time that this was tried.
        """
        link = self._open_link()
        for name in names:
            if name not in ALL_NAMES:
                known = ", ".join(ALL_NAMES)
                raise InvalidRequestError(field="names", reason=f"{name!r} is no limit; there are {known}")
        async with Answering(link):
            return await LimitStore(link.bus).change(
                tenant, adapter, lambda now: _without(now, names), link.author(reason)
            )


def _made(
    tenant: str | None,
    adapter: str | None,
    now: Limits | None,
    options: dict[str, Any],
    signed: dict[str, Any],
) -> Limits:
    options = {name: amount for name, amount in options.items() if amount is not None}
    given: dict[str, Any] = {} if now is None else {name: dict(getattr(now, name)) for name in _KINDS}
    wait = options.pop("wait_seconds", None)
    rates: dict[Measure, Rate] = given.setdefault("rates", {})
    try:
        for measure in Measure:
            _set_rate(rates, measure, options, wait)
            for period, kind in _PERIODS.items():
                if (amount := options.pop(f"{measure}_per_{period}", None)) is not None:
                    given.setdefault(kind, {})[measure] = amount
            if (amount := options.pop(pending_name(measure), None)) is not None:
                given.setdefault("max_pending", {})[measure] = amount
        if options:
            raise InvalidRequestError(field=next(iter(options)), reason="there is no such limit")
        if wait is not None and not rates:
            raise InvalidRequestError(field="wait_seconds", reason="only jobs over a rate wait: set one too")
        return Limits(tenant=tenant, adapter=adapter, **given, **signed)
    except ValidationError as error:
        raise _refused(error) from error


def _set_rate(
    rates: dict[Measure, Rate], measure: Measure, options: dict[str, Any], wait: float | None
) -> None:
    burst_name = "burst" if measure is Measure.REQUESTS else f"burst_{measure}"
    burst = options.pop(burst_name, None)
    said = {word: options.pop(f"{measure}_per_{word}", None) for word in _WINDOWS}
    amounts = {word: amount for word, amount in said.items() if amount is not None}
    if len(amounts) > 1:
        reason = "give the rate by the second or by the minute, not both"
        raise InvalidRequestError(field=f"{measure}_per_minute", reason=reason)
    old = rates.get(measure)
    if not amounts and old is None:
        if burst is not None:
            reason = f"it is of a rate: give {measure}_per_second or {measure}_per_minute too"
            raise InvalidRequestError(field=burst_name, reason=reason)
        return
    values: dict[str, Any] = {} if old is None else old.model_dump()
    for word, amount in amounts.items():
        values |= {"amount": amount, "per_seconds": _WINDOWS[word]}
    if burst is not None:
        values["burst"] = burst
    if wait is not None:
        values["wait_seconds"] = wait
    try:
        rates[measure] = Rate(**values)
    except ValidationError as error:
        word = next(iter(amounts), "second")
        names = {"amount": f"{measure}_per_{word}", "burst": burst_name, "wait_seconds": "wait_seconds"}
        first = error.errors(include_url=False)[0]
        field = names.get(str(first["loc"][0]), f"{measure}_rate")
        raise InvalidRequestError(field=field, reason=str(first["msg"])) from error


_KINDS = ("rates", "per_day", "per_month", "max_pending")


def _without(now: Limits | None, names: Sequence[str]) -> Limits | None:
    if now is None or not names:
        return None
    if not set(names) <= set(now.names):
        raise LimitsUnknownError(label=now.label, there=now.names)
    kept = {
        "rates": {m: rate for m, rate in now.rates.items() if f"{m}_rate" not in names},
        "per_day": {m: amount for m, amount in now.per_day.items() if f"{m}_per_day" not in names},
        "per_month": {m: amount for m, amount in now.per_month.items() if f"{m}_per_month" not in names},
        "max_pending": {m: most for m, most in now.max_pending.items() if pending_name(m) not in names},
    }
    left = now.model_copy(update=kept)
    return None if left.is_empty else left


def _refused(error: ValidationError) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    kind, measure = (*place, "", "")[:2]
    field = {
        "per_day": f"{measure}_per_day",
        "per_month": f"{measure}_per_month",
        "max_pending": pending_name(Measure(measure)) if measure in tuple(Measure) else "max_pending",
    }.get(kind, kind or "tenant")
    reason = plain_reason(first)
    return InvalidRequestError(field="reason" if field == "why" else field, reason=reason)
