"""One record of limits at work: may this job come in, and if not, which limit says so and until when?"""

from __future__ import annotations

from typing import NamedTuple

from lorayard_dispatcher.limiting.calendar_window import Period
from lorayard_dispatcher.limiting.quota import Quota
from lorayard_dispatcher.limiting.token_bucket import TokenBucket
from lorayard_schemas.limit import Limits, LimitUse, Measure, ReachedLimit, label_of, pending_name

MEASURES = tuple(Measure)
"""A cost has these, in this order."""

FIRST_RETRY_SECONDS = 1.0
LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 0.05, 60.0
"""When to come again after too much was pending: by how fast it ends here, or the first while that is not
known. Sooner would be a busy loop, later would leave rows idle."""

FEW_SECONDS = 10.0
"""Of fewer, people want to know tenths."""

HEAR_SECONDS = 2.0
"""A counter is read with the next turn of the exchange; beyond that the server is away."""

RATE_MEMORY_SECONDS = 10.0
"""Of how fast jobs end: longer than a batch, shorter than a change of load."""

Three = tuple[float, float, float]

Cost = Three
"""What a job is expected to take: requests, tokens, bytes. A plain tuple: one is made for each job."""

TOKENS = MEASURES.index(Measure.TOKENS)


class Reached(NamedTuple):
    """A limit that a job is over."""

    gate: Gate
    name: str
    measure: int
    """Its place in a cost."""
    value: float
    used: float | None
    per_seconds: float | None
    retry_after_seconds: float | None
    """None: never; the job alone is more than the limit."""


class _RateGate(NamedTuple):
    name: str
    measure: int
    bucket: TokenBucket
    patience_seconds: float
    value: float
    per_seconds: float


class Gate:
    """What is used of one record, here and elsewhere. `now` is monotonic seconds, `unix` the calendar's."""

    __slots__ = (
        "_born_at",
        "_ends_per_second",
        "_last_end",
        "elsewhere",
        "key",
        "max_pending",
        "pending",
        "quotas",
        "rates",
        "record",
        "refused",
        "spent",
        "tenant",
        "unheard",
        "waiting",
    )

    def __init__(self, record: Limits, now: float, *, tenant: str | None = None) -> None:
        """`tenant`: of whom this is, where the record is for each tenant."""
        self.tenant = tenant if tenant is not None else record.tenant
        self.key = (self.tenant, record.adapter)
        self._born_at = now
        self.unheard = bool(record.per_day or record.per_month)
        """Whether the counters of its quotas were not read yet."""
        self.pending = [0.0, 0.0, 0.0]
        self.elsewhere: dict[str, Three] = {}
        """Pending at other dispatchers, by name."""
        self.spent = [0.0, 0.0, 0.0]
        """Let in here since the start."""
        self.refused: dict[str, int] = {}
        self.waiting = 0
        self._last_end: float | None = None
        self._ends_per_second = 0.0
        self.rates: tuple[_RateGate, ...] = ()
        self.quotas: tuple[Quota, ...] = ()
        self.max_pending: tuple[tuple[int, str, float], ...] = ()
        self.change(record, now)

    def change(self, record: Limits, now: float) -> None:
        """Go by another record; what was used stays used."""
        self.record = record
        old = {rate.name: rate.bucket for rate in self.rates}
        self.rates = tuple(_rates(record, old, now))
        counted = {quota.name: quota for quota in self.quotas}
        self.quotas = tuple(_quotas(record))
        for quota in self.quotas:
            if quota.name in counted:
                quota.take_over(counted[quota.name])
        self.max_pending = tuple(
            (MEASURES.index(measure), pending_name(measure), most)
            for measure, most in record.max_pending.items()
        )

    @property
    def counts_pending(self) -> bool:
        """Whether it must be known when jobs end, or what they really used."""
        used = {rate.measure for rate in self.rates} | {quota.index for quota in self.quotas}
        return bool(self.max_pending) or TOKENS in used

    def look(self, cost: Cost, now: float, unix: float) -> float | Reached:
        """Seconds that a job has to wait, or the limit that refuses it. The longest lasting are asked first,
        so that nobody is told to come again in a second when the day is used up."""
        for quota in self.quotas:
            count = quota.current if quota.begins_at <= unix < quota.ends_at else quota.count(unix)
            used, amount = count.known + count.untold + count.on_its_way, cost[quota.index]
            if used + amount > quota.amount and count.used + amount > quota.amount:
                ends = None if amount > quota.amount else max(0.0, quota.ends_at - unix)
                return Reached(self, quota.name, quota.index, quota.amount, count.used, None, ends)
        for index, name, most in self.max_pending:
            used = self.pending_now(index) if self.elsewhere else self.pending[index]
            amount = cost[index]
            if used + amount > most:
                retry = None if amount > most else self._pending_retry()
                return Reached(self, name, index, most, used, None, retry)
        longest = 0.0
        for name, measure, bucket, patience, value, per_seconds in self.rates:
            if bucket.level(now) >= cost[measure]:
                continue
            wait = bucket.wait_seconds(cost[measure], now)
            if wait > patience:
                return Reached(self, name, measure, value, None, per_seconds, wait - patience)
            if wait > longest:
                longest = wait
        return longest

    def spend(self, cost: Cost, now: float, unix: float) -> None:
        """A job comes in, and is pending here."""
        requests, tokens, size = cost
        for rate in self.rates:
            rate[2].take(cost[rate[1]], now)
        for quota in self.quotas:
            count = quota.current if quota.begins_at <= unix < quota.ends_at else quota.count(unix)
            count.untold += cost[quota.index]
        for sums in (self.spent, self.pending):
            sums[0] += requests
            sums[1] += tokens
            sums[2] += size

    def hold(self, cost: Cost) -> None:
        """A job that was counted elsewhere is pending here."""
        pending = self.pending
        pending[0] += cost[0]
        pending[1] += cost[1]
        pending[2] += cost[2]

    def release(self, cost: Cost) -> None:
        """It is pending no more."""
        for index in range(3):
            self.pending[index] = max(0.0, self.pending[index] - cost[index])

    def ended(self, now: float) -> None:
        """One more job has been answered: how fast they end says when to come again."""
        last, self._last_end = self._last_end, now
        if last is not None:
            share = min(1.0, max(now - last, 1e-6) / RATE_MEMORY_SECONDS)
            per_second = 1.0 / max(now - last, 1e-6)
            self._ends_per_second += share * (per_second - self._ends_per_second)

    def settle(self, tokens: float, now: float, unix: float) -> None:
        """A job took so many tokens more than expected, or less."""
        for rate in self.rates:
            if rate.measure == TOKENS:
                rate.bucket.give(-tokens, now)
        for quota in self.quotas:
            if quota.index == TOKENS:
                quota.add(tokens, unix)
        self.spent[TOKENS] += tokens

    def hear(self, spent: Three, now: float) -> None:
        """Another dispatcher has let in so much more."""
        for rate in self.rates:
            rate.bucket.give(-spent[rate.measure], now)

    def is_idle(self, now: float) -> bool:
        """Whether nothing is pending, owed or used: a new one would be the same."""
        counts = [count for quota in self.quotas for count in quota.counts().values()]
        return not any(self.pending) and not any(self.owed(now)) and not any(count.used for count in counts)

    def must_hear(self, now: float, unix: float) -> bool:
        """Whether what was used of its quotas by now, here in a former life or elsewhere, is yet to be heard
        of. A server that does not say so within a while is not waited for."""
        if self.unheard:
            heard = all(quota.count(unix).heard for quota in self.quotas)
            self.unheard = not heard and now - self._born_at < HEAR_SECONDS
        return self.unheard

    @property
    def label(self) -> str:
        """Whose it is, for people."""
        return label_of(*self.key)

    def room_of(self, name: str) -> float | None:
        """What the bucket of a rate holds when it is full; None: it is no rate."""
        return next((rate.bucket.size for rate in self.rates if rate.name == name), None)

    def owed(self, now: float) -> Three:
        """Missing in the buckets."""
        owed = [0.0, 0.0, 0.0]
        for rate in self.rates:
            owed[rate.measure] = max(0.0, rate.bucket.size - rate.bucket.level(now))
        return (owed[0], owed[1], owed[2])

    def pending_now(self, index: int) -> float:
        """Of one measure, here and elsewhere."""
        return self.pending[index] + sum(other[index] for other in self.elsewhere.values())

    def uses(self, now: float, unix: float) -> tuple[LimitUse, ...]:
        """Every limit, and what is used of it."""
        return (*self._rates_used(now), *self._quotas_used(unix), *self._pending_used())

    def _rates_used(self, now: float) -> list[LimitUse]:
        return [
            LimitUse(
                name=rate.name,
                value=rate.value,
                used=max(0.0, rate.bucket.size - rate.bucket.level(now)),
                resets_in_seconds=rate.bucket.wait_seconds(rate.bucket.size, now),
                refused=self.refused.get(rate.name, 0),
            )
            for rate in self.rates
        ]

    def _quotas_used(self, unix: float) -> list[LimitUse]:
        return [
            LimitUse(
                name=quota.name,
                value=quota.amount,
                used=quota.count(unix).used,
                resets_in_seconds=max(0.0, quota.window(unix).ends_at - unix),
                refused=self.refused.get(quota.name, 0),
            )
            for quota in self.quotas
        ]

    def _pending_used(self) -> list[LimitUse]:
        return [
            LimitUse(name=name, value=most, used=self.pending_now(index), refused=self.refused.get(name, 0))
            for index, name, most in self.max_pending
        ]

    def _pending_retry(self) -> float:
        if self._ends_per_second <= 0.0:
            return FIRST_RETRY_SECONDS
        return min(max(1.0 / self._ends_per_second, LEAST_RETRY_SECONDS), MOST_RETRY_SECONDS)


def _rates(record: Limits, old: dict[str, TokenBucket], now: float) -> list[_RateGate]:
    made: list[_RateGate] = []
    for measure, rate in record.rates.items():
        name = f"{measure}_rate"
        before = old.get(name)
        level = None if before is None else before.level(now)
        bucket = TokenBucket(per_second=rate.per_second, size=rate.size, now=now, level=level)
        made.append(
            _RateGate(name, MEASURES.index(measure), bucket, rate.wait_seconds, rate.amount, rate.per_seconds)
        )
    return made


def _quotas(record: Limits) -> list[Quota]:
    return [
        Quota(name=f"{measure}_per_{period}", index=MEASURES.index(measure), period=period, amount=amount)
        for period, amounts in ((Period.MONTH, record.per_month), (Period.DAY, record.per_day))
        for measure, amount in amounts.items()
    ]


def told(reached: Reached) -> str:
    """A limit that was reached, for people: whose, how much, and when to come again."""
    record, value = reached.gate.record, f"{reached.value:,.15g}"
    measure = MEASURES[reached.measure].value
    whose = wire_limit(reached)
    subject = _subject(whose)
    if reached.per_seconds is not None:
        what = f"{subject} may ask for {value} {measure} {_window(reached.per_seconds)}"
    elif reached.name.startswith("max_pending"):
        what = f"{subject} may have {value} {'jobs' if measure == 'requests' else measure} pending"
    else:
        what = f"{subject} may ask for {value} {measure} a {reached.name.rpartition('_')[2]} (UTC)"
    used = "" if reached.used is None else f", and has {reached.used:,.15g}"
    if reached.retry_after_seconds is None:
        return f"{what}, and this job alone asks for more: no waiting helps ({record.label})"
    return f"{what}{used}; try again in {_seconds(reached.retry_after_seconds)}"


def wire_limit(reached: Reached) -> ReachedLimit:
    """The same, for programs."""
    tenant, adapter = reached.gate.key
    return ReachedLimit(
        name=reached.name,
        tenant=tenant,
        adapter=adapter,
        value=reached.value,
        per_seconds=reached.per_seconds,
        used=reached.used,
    )


def _subject(limit: ReachedLimit) -> str:
    if limit.tenant is None:
        return f"everybody together, of {limit.adapter},"
    return f"tenant {limit.tenant}" + (f", of {limit.adapter}," if limit.adapter is not None else "")


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= FEW_SECONDS else f"{seconds:.2g} s"


def _window(per_seconds: float) -> str:
    known = {1.0: "a second", 60.0: "a minute", 3600.0: "an hour"}
    return known.get(per_seconds, f"in {per_seconds:g} s")
