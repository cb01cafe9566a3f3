"""What several dispatchers tell each other of limits, and what outlives them.

Rates and what is pending: each tells its sums since its start, by a core message, while anything changes; a
lost one is made good by the next. Quotas stand in counters of the server (`Nats-Incr`), which add up what all
have told and answer with the sum, and which a restart finds again.

The error: in the time between two turns each dispatcher lets in what it believes is left. So with D of them
at most (D - 1) times what comes in during `TURN_SECONDS` and a message's way is let in beyond a limit. What
was let in too much of a rate is a debt that the next ones wait for, so over time no more comes in than the
rate allows. A dispatcher that is killed forgets what it has let in since its last turn.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator

import nats.errors
import structlog

from lorayard_dispatcher.limiting.gates import Gates
from lorayard_dispatcher.limiting.quota import Count
from lorayard_schemas import headers
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.limit import LimitGossip, SpentHere, limits_key
from lorayard_shared.bus.connection import Bus, JsonMap
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.nats_client import header_block
from lorayard_shared.bus.publishes import Outgoing, Publishes
from lorayard_shared.logs import Event

TURN_SECONDS = 0.2
SURE_SECONDS = 2.0
"""All is told so often, changed or not: one that has just come hears of the others."""

SILENT_SECONDS = 3.0
"""A dispatcher that was not heard for so long has nothing pending: it is gone, and others have its jobs."""

MOST_IDLE = 256
"""Counters read in one turn that this dispatcher has nothing to add to: of more, each is read less often."""

Whose = tuple[str | None, str | None]
_Three = tuple[float, float, float]


class LimitExchange:
    """One dispatcher's part."""

    def __init__(self, bus: Bus, gates: Gates, *, name: str, started_at: float) -> None:
        self._bus = bus
        self._gates = gates
        self._name = name
        self._started_at = started_at
        self._publishes = Publishes(bus)
        self._told: dict[Whose, tuple[_Three, _Three]] = {}
        self._sure_at = 0.0
        self._heard: dict[str, tuple[float, float, dict[str, SpentHere]]] = {}
        """Name -> which life of it, when it was heard last (monotonic seconds), and what it said."""
        self._numbers = itertools.count(int(started_at * 1e6))
        self._turn = 0
        self._trouble = False
        self._listens = False
        self._log = structlog.get_logger()

    async def begin(self) -> None:
        """Listen, and read what was used of quotas before.

        Raises:
            nats.errors.Error: the connection takes no message now; the next turn listens.
        """
        await self._listen()
        await self.tell_quotas()

    async def _listen(self) -> None:
        if not self._listens:
            await self._bus.nc.hear(self._bus.subjects.limit_gossip, self._hear)
            self._listens = True

    async def turn(self) -> None:
        """Wait a while, then tell and ask."""
        await asyncio.sleep(TURN_SECONDS)
        if not self._gates or not self._bus.connected:
            return
        self._forget_silent(time.monotonic())
        try:
            await self._listen()
            self._tell()
            await self.tell_quotas()
            self._trouble = False
        except (nats.errors.Error, TimeoutError) as error:
            if not self._trouble:
                self._log.warning(
                    Event.BUS_FAILED, waited_for="limits", error=str(error) or type(error).__name__
                )
            self._trouble = True

    # ---- rates, and what is pending

    def _tell(self) -> None:
        now = time.monotonic()
        sure = now >= self._sure_at
        if not sure and not self._heard:
            return  # nobody listens
        changed: dict[str, SpentHere] = {}
        for gate in self._gates:
            here = (_three(gate.spent), _three(gate.pending))
            if sure or self._told.get(gate.key) != here:
                self._told[gate.key] = here
                changed[limits_key(*gate.key)] = SpentHere(
                    spent=here[0], pending=here[1], owed=gate.owed(now)
                )
        if sure:
            self._sure_at = now + SURE_SECONDS
        if changed:
            gossip = LimitGossip(dispatcher=self._name, started_at=self._started_at, gates=changed)
            self._bus.nc.post(self._bus.subjects.limit_gossip, encode(gossip))

    def _hear(self, message: Heard) -> None:
        try:
            gossip = decode(LimitGossip, message.data)
        except MalformedMessageError as error:
            self._log.error(Event.MESSAGE_MALFORMED, field=error.field, reason=error.reason)
            return
        if gossip.dispatcher == self._name:
            return
        known, now = self._heard.get(gossip.dispatcher), time.monotonic()
        before = known[2] if known is not None and known[0] == gossip.started_at else {}
        gates = {limits_key(*gate.key): gate for gate in self._gates}
        for key, here in gossip.gates.items():
            if (gate := gates.get(key)) is not None:
                last = before.get(key)
                gate.hear(_first(here) if last is None else _grown(last, here), now)
                gate.elsewhere[gossip.dispatcher] = here.pending
        self._heard[gossip.dispatcher] = (gossip.started_at, now, {**before, **gossip.gates})
        if known is None:
            self._sure_at = 0.0  # it is to hear of this one, too

    def _forget_silent(self, now: float) -> None:
        for name in [name for name, heard in self._heard.items() if now - heard[1] > SILENT_SECONDS]:
            del self._heard[name]
            for gate in self._gates:
                gate.elsewhere.pop(name, None)

    # ---- quotas

    async def tell_quotas(self) -> None:
        """Add what was let in here to the counters, and hear the sums; also of what others let in.

        Raises:
            nats.errors.Error: the connection takes no message now.
        """
        asked = self._due()
        sent = [Outgoing(subject=subject, body=b"", head=self._next(count)) for subject, count in asked]
        answers = await self._publishes.send(sent)
        for (_, count), answer in zip(asked, answers, strict=True):
            _take(count, answer)

    def _next(self, count: Count) -> bytes:
        """What to add to a counter: what had no answer again, or all that was let in since."""
        if not count.token and (whole := round(count.untold)):
            count.on_its_way, count.untold = float(whole), count.untold - whole
            count.token = f"usage-{self._name}-{next(self._numbers)}"
        given = {headers.INCREMENT: str(int(count.on_its_way))}
        return header_block({**given, headers.MSG_ID: count.token} if count.token else given)

    def _due(self) -> list[tuple[str, Count]]:
        """Counters that there is something to tell of, and in turn some of those that others may have told
        of."""
        due: list[tuple[str, Count]] = []
        idle: list[tuple[str, Count]] = []
        for subject, count in self._counts():
            waits = count.token or round(count.untold) or not count.heard
            (due if waits else idle).append((subject, count))
        if self._heard and idle:
            start = self._turn % len(idle)
            due += (idle[start:] + idle[:start])[:MOST_IDLE]
            self._turn = start + MOST_IDLE
        return due

    def _counts(self) -> Iterator[tuple[str, Count]]:
        unix = time.time()
        for gate in self._gates:
            for quota in gate.quotas:
                quota.window(unix)
                for window, count in quota.counts().items():
                    yield self._bus.subjects.usage(*gate.key, quota.name, window), count


def _take(count: Count, answer: Heard | None) -> None:
    told = _confirmation(answer)
    if told is None:
        return  # sent again with the next turn, under the same id
    total = told.get("val")
    if total is not None:
        count.known, count.heard = float(total), True
    else:  # a duplicate: counted before, but the sum has to be asked for
        count.known, count.heard = count.known + count.on_its_way, False
    count.on_its_way, count.token = 0.0, ""


def _confirmation(answer: Heard | None) -> JsonMap | None:
    """The counter's answer; None: there is none, or a refusal."""
    if answer is None or answer.raw_headers:
        return None
    told: JsonMap = json.loads(answer.data)
    return None if "error" in told else told


def _three(values: list[float]) -> tuple[float, float, float]:
    return (values[0], values[1], values[2])


def _first(here: SpentHere) -> tuple[float, float, float]:
    """Of one that was not heard of before: most of what it ever let in is long paid for."""
    owed = [min(spent, missing) for spent, missing in zip(here.spent, here.owed, strict=True)]
    return (owed[0], owed[1], owed[2])


def _grown(before: SpentHere, now: SpentHere) -> tuple[float, float, float]:
    grown = [after - last for last, after in zip(before.spent, now.spent, strict=True)]
    return (grown[0], grown[1], grown[2])
