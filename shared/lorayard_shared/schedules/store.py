"""Schedules in their bucket: plans with who changed them and why, and how far each has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar, cast

import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import key_token
from lorayard_schemas.schedule import (
    PLANS,
    STATES,
    Schedule,
    ScheduleState,
    occurrence_id,
    plan_key,
    state_key,
)
from lorayard_shared.bus.bucket_writes import delete_key, update_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket, list_keys_like
from lorayard_shared.jobs.unschedule import unschedule
from lorayard_shared.registry.chronicle import Chronicle, Chronicled
from lorayard_shared.registry.errors import ContendedError, ScheduleUnknownError
from lorayard_shared.registry.records import Author
from lorayard_shared.value import value

BUCKET = "schedules"
TRIES = 10
M = TypeVar("M", Schedule, ScheduleState)


@value
class Standing:
    """A schedule, and how far it has come."""

    plan: Schedule
    state: ScheduleState


class ScheduleStore:
    """Every method raises `nats.errors.Error` where nobody answers, and changes ContendedError."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._plans = Chronicle(bus, BUCKET, Schedule, told=_told, prefix=PLANS)
        self._opened: KeyValue | None = None
        self._opening = asyncio.Lock()

    async def list(self, tenant: str | None = None) -> list[Standing]:
        """Those of a tenant, or all, by tenant and name; read in one go, however many."""
        bucket = await self._bucket()
        if tenant is None:
            entries = await list_bucket(bucket)
        else:
            entries = await list_keys_like(self._bus, bucket, BUCKET, f"*.{key_token(tenant)}.*")
        values = {entry.key: entry.value for entry in entries if entry.operation is None and entry.value}
        plans = [plan for key in values if (plan := _read(Schedule, key, values, PLANS)) is not None]
        plans.sort(key=lambda one: (one.tenant, one.name))
        return [Standing(plan=plan, state=_state_of(plan, values)) for plan in plans]

    async def find(self, tenant: str, name: str) -> Schedule | None:
        """One of them."""
        return (await self._get(Schedule, plan_key(tenant, name)))[0]

    async def get(self, tenant: str, name: str) -> Schedule:
        """The same.

        Raises:
            ScheduleUnknownError: there is none.
        """
        found = await self.find(tenant, name)
        if found is None:
            raise ScheduleUnknownError(name=name, tenant=tenant)
        return found

    async def put(self, wanted: Schedule, author: Author, *, verb: str, now: float) -> Schedule:
        """Write a plan, whatever was there; it counts from `now`, unix seconds of the yard."""

        def changed(known: Chronicled[Schedule]) -> Schedule:
            return _signed(wanted, known.past, author, now)

        return await self._change(wanted.tenant, wanted.name, changed, author, verb)

    async def pause(self, tenant: str, name: str, author: Author, *, paused: bool, now: float) -> Schedule:
        """Have nothing come due until it is resumed, or let it go on from `now`.

        Raises:
            ScheduleUnknownError: there is none.
        """

        def changed(known: Chronicled[Schedule]) -> Schedule:
            if known.now is None:
                raise ScheduleUnknownError(name=name, tenant=tenant)
            if known.now.paused == paused:
                return known.now
            return _signed(known.now.model_copy(update={"paused": paused}), known.past, author, now)

        verb = "pause" if paused else "resume"
        return await self._change(tenant, name, changed, author, verb)

    async def remove(self, tenant: str, name: str, author: Author) -> None:
        """Take it away, and what lies ahead of it.

        Raises:
            ScheduleUnknownError: there is none.
        """
        await self.get(tenant, name)
        label = _label(tenant, name)
        await self._plans.change(plan_key(tenant, name), lambda _: None, author, verb="remove", label=label)
        await self.clear(tenant, name)

    async def clear(self, tenant: str, name: str) -> None:
        """Withdraw what lies ahead of a schedule that is no more, and forget how far it had come."""
        state, revision = await self.state(tenant, name)
        await self.withdraw(state)
        if revision:
            await delete_key(self._bus, BUCKET, state_key(tenant, name))

    async def withdraw(self, state: ScheduleState) -> None:
        """Have the server not let go what lies ahead."""
        if state.ahead is not None:
            await unschedule(self._bus, state.tenant, occurrence_id(state.name, state.ahead.at))

    async def state(self, tenant: str, name: str) -> tuple[ScheduleState, int]:
        """How far it has come, and the revision that a change follows."""
        found, revision = await self._get(ScheduleState, state_key(tenant, name))
        # Somebody else's bytes: what is written over them is ours.
        return found or ScheduleState(name=name, tenant=tenant), revision

    async def try_state(self, state: ScheduleState, revision: int) -> bool:
        """Write it, unless somebody was faster."""
        try:
            key = state_key(state.tenant, state.name)
            await update_key(self._bus, BUCKET, key, encode(state), last=revision)
        except nats.js.errors.KeyWrongLastSequenceError:
            return False
        return True

    async def change_state(
        self, tenant: str, name: str, changed: Callable[[ScheduleState], ScheduleState]
    ) -> ScheduleState:
        """Write what `changed` makes of it; it is asked anew where another writer was first."""
        for _ in range(TRIES):
            known, revision = await self.state(tenant, name)
            wanted = changed(known)
            if wanted == known or await self.try_state(wanted, revision):
                return wanted
        raise ContendedError(label=_label(tenant, name), tries=TRIES)

    async def _change(
        self,
        tenant: str,
        name: str,
        changed: Callable[[Chronicled[Schedule]], Schedule],
        author: Author,
        verb: str,
    ) -> Schedule:
        label = _label(tenant, name)
        made = await self._plans.change(plan_key(tenant, name), changed, author, verb=verb, label=label)
        assert made is not None, "nothing is taken away"
        if made.paused:  # while no dispatcher lives nobody else would
            await self.withdraw((await self.state(tenant, name))[0])
        return made

    async def _get(self, message: type[M], key: str) -> tuple[M | None, int]:
        """One value, if there is one that can be read, and its revision: by one question of the server."""
        try:
            entry = await (await self._bucket()).get(key)
        except nats.js.errors.KeyDeletedError as error:
            return None, cast("int", error.entry.revision) if error.entry is not None else 0  # pyright: ignore[reportUnknownMemberType]  # nats-py
        except nats.js.errors.KeyNotFoundError:
            return None, 0
        with suppress(MalformedMessageError):
            return decode(message, entry.value or b""), entry.revision or 0
        return None, entry.revision or 0

    async def _bucket(self) -> KeyValue:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._bus.js.key_value(self._bus.subjects.bucket(BUCKET))
        return self._opened


def _read(message: type[M], key: str, values: Mapping[str, bytes], prefix: str) -> M | None:
    """The value of a key that begins so, if it can be read."""
    with suppress(MalformedMessageError):
        return decode(message, values[key]) if key.startswith(prefix) else None
    return None


def _state_of(plan: Schedule, values: Mapping[str, bytes]) -> ScheduleState:
    key = state_key(plan.tenant, plan.name)
    found = _read(ScheduleState, key, values, STATES) if key in values else None
    return found or ScheduleState(name=plan.name, tenant=plan.tenant)


def _signed(wanted: Schedule, past: tuple[Schedule, ...], author: Author, now: float) -> Schedule:
    return wanted.model_copy(
        update={
            "since": now,
            "at": now,
            "by": author.actor,
            "why": author.reason,
            "revision": past[-1].revision + 1 if past else 1,
        }
    )


def _label(tenant: str, name: str) -> str:
    return f"{tenant}/{name}"


def _told(one: Schedule) -> str:
    paused = "paused, " if one.paused else ""
    return f"{paused}{one.cron} {one.tz}, {one.adapter or 'any adapter'}"
