"""Records that people and dispatchers keep in buckets: can they be read, and are they where they belong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import nats.errors
import nats.js.errors
from nats.js.kv import KeyValue

from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_schemas.codec import decode
from lorayard_schemas.control import CAPS, PAUSES, Cap, Pause, cap_key, pause_key
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.limit import LIMITS, Limits, limits_key
from lorayard_schemas.message import Message
from lorayard_schemas.schedule import PLANS, STATES, Schedule, ScheduleState, plan_key, state_key
from lorayard_schemas.strike import STRIKES, Strike, strike_key
from lorayard_schemas.tenant import TenantRecord, tenant_key
from lorayard_schemas.trial import TRIALS, TrialRecord, trial_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket, list_history
from lorayard_shared.schedules.calendar import CalendarError, calendar_of

SHOWN = 20
"""Of bad ones; there may be thousands."""

_UPGRADE = (
    "left alone, as a newer lorayard may have written it: run this with the newest version of the yard; "
    "if nobody has, take it away with `nats kv del {bucket} {key}`"
)
_REMOVE = "lorayard doctor --mend puts back what was there before, or takes it away"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What stands under keys that begin so."""

    prefix: str
    message: type[Message]
    key_of: Callable[[Any], str]


BUCKETS: dict[str, tuple[_Kind, ...]] = {
    "control": (
        _Kind(prefix=STRIKES, message=Strike, key_of=lambda one: strike_key(one.adapter, one.tenant)),
        _Kind(prefix=PAUSES, message=Pause, key_of=lambda one: pause_key(one.kind, one.name)),
        _Kind(prefix=CAPS, message=Cap, key_of=lambda one: cap_key(one.kind, one.name)),
        _Kind(prefix=TRIALS, message=TrialRecord, key_of=lambda one: trial_key(one.adapter, one.alias)),
    ),
    "tenants": (
        _Kind(prefix=LIMITS, message=Limits, key_of=lambda one: limits_key(one.tenant, one.adapter)),
        _Kind(prefix="", message=TenantRecord, key_of=lambda one: tenant_key(one.tenant)),
    ),
    "schedules": (
        _Kind(prefix=PLANS, message=Schedule, key_of=lambda one: plan_key(one.tenant, one.name)),
        _Kind(prefix=STATES, message=ScheduleState, key_of=lambda one: state_key(one.tenant, one.name)),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A record that nobody goes by."""

    reason: str
    nobodys: bool = False
    """No version of lorayard can have written it."""
    mend: str | None = None
    """None: as its kind of fault has it."""


async def check_records(bus: Bus, *, mending: bool) -> AsyncIterator[Finding]:
    """Every record of these buckets; `mending` replaces what no version can have written."""
    for kind, kinds in BUCKETS.items():
        name = bus.subjects.bucket(kind)
        try:
            bucket = await bus.js.key_value(name)
            found = [one for one in await list_bucket(bucket) if one.operation is None]
        except (nats.errors.Error, nats.js.errors.Error) as error:
            reason = str(error) or type(error).__name__
            yield fail("records", f"{name} cannot be read ({reason})", "lorayard doctor --mend")
            continue
        bad = [(entry, fault) for entry in found if (fault := _fault(entry, kinds)) is not None]
        if not bad:
            yield ok("records", f"{name}: {len(found)}, all can be read")
        for entry, fault in bad[:SHOWN]:
            yield await _finding(bucket, name, entry, fault, mending=mending)
        if len(bad) > SHOWN:
            yield warn("records", f"{name}: {len(bad) - SHOWN} more", "mend these, and look again")


def _fault(entry: KeyValue.Entry, kinds: Sequence[_Kind]) -> _Fault | None:
    """Why nobody goes by a record; None: it is sound."""
    body = entry.value or b""
    if not _is_map(body):
        return _Fault(reason="it is no message of a yard", nobodys=True)
    kind = next((one for one in kinds if entry.key.startswith(one.prefix)), None)
    if kind is None:
        return _Fault(reason="this version knows of nothing that stands under such a key")
    try:
        record = decode(kind.message, body)
    except MalformedMessageError as error:
        return _Fault(reason=str(error))
    belongs = kind.key_of(record)
    if belongs != entry.key:
        return _Fault(reason=f"what belongs to {belongs} stands there, and is not believed")
    return _of_calendar(record) if isinstance(record, Schedule) else None


def _of_calendar(plan: Schedule) -> _Fault | None:
    try:
        calendar_of(plan.cron, plan.tz)
    except CalendarError as error:
        mend = f"LORAYARD_TENANT={plan.tenant} lorayard schedules rm {plan.name}, or add it with --replace"
        return _Fault(reason=f"it is never due: {error}", mend=mend)
    return None


def _is_map(body: bytes) -> bool:
    try:
        told: object = json.loads(body) if body[:1] in b"{ \t\r\n" else msgpack.unpackb(body)
    except (ValueError, RecursionError, msgpack.UnpackException):
        return False
    return isinstance(told, dict)


async def _finding(
    bucket: KeyValue,
    name: str,
    entry: KeyValue.Entry,
    fault: _Fault,
    *,
    mending: bool,
) -> Finding:
    label = f"{name}, {entry.key}: {fault.reason}"
    if fault.nobodys and mending:
        try:
            return ok("records", f"mended: {label}; {await _replace(bucket, entry)}")
        except (nats.errors.Error, nats.js.errors.Error) as error:
            return warn("records", f"{label}; it could not be replaced ({error})", "run this again")
    usual = _REMOVE if fault.nobodys else _UPGRADE.format(bucket=name, key=entry.key)
    return warn("records", label, fault.mend or usual)


async def _replace(bucket: KeyValue, entry: KeyValue.Entry) -> str:
    """What was there before is put back, where the bucket has kept it; else the key is taken away."""
    past = await list_history(bucket, entry.key)
    last = entry.revision or 0
    if not past or past[-1].revision != last:
        raise nats.js.errors.KeyWrongLastSequenceError(description="somebody has just changed it")
    for before in reversed(past[:-1]):
        if before.operation is not None:
            break  # it was taken away before these bytes came
        if _is_map(before.value or b""):  # also what this version cannot read: a newer one may
            await bucket.update(entry.key, before.value or b"", last=last)
            return f"revision {before.revision} is put back"
    await bucket.delete(entry.key, last=last)
    return "it is taken away"
