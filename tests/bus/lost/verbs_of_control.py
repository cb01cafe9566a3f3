"""Every verb about what starts, when, how much, and who may ask. `verbs` has all of them."""

from __future__ import annotations

from typing import Any

from tests.bus.lost.conftest import Case
from tests.bus.lost.verb import Given, Verb, given

from lorayard import (
    Retry,
)


async def add_schedule(case: Case) -> None:
    await case.sure.schedules.add("nightly", "hello", cron="0 3 * * *", reason="ready")


async def pause_schedule(case: Case) -> None:
    await add_schedule(case)
    await case.sure.schedules.pause("nightly", reason="ready")


async def pause_it(case: Case) -> None:
    await case.sure.control.pause("tenant", case.name, reason="ready")


async def set_limits(case: Case) -> None:
    await case.sure.limits.set(tenant=case.name, max_pending=5000, reason="ready")


async def add_key(case: Case) -> None:
    case.there["key"] = (await case.sure.keys.add(case.name, reason="ready")).record.id


async def has_one_key(case: Case) -> bool:
    return [key.tenant for key in await case.sure.keys.list()].count(case.name) == 1


async def has_retry(case: Case) -> bool:
    return (await case.sure.tenants.show(case.name)).retry == Retry(max_attempts=5)


def tenant(case: Case, _client: Any) -> Given:
    return given("tenant", case.name, reason=case.name)


def nightly(case: Case, _client: Any) -> Given:
    return given("nightly", reason=case.name)


SCHEDULES = (
    Verb(
        path="schedules.add",
        given=lambda c, _y: given("nightly", "hello", cron="0 3 * * *", reason=c.name),
        changes=1,
    ),
    Verb(path="schedules.list", ready=add_schedule, right=lambda _c, got: len(got) == 1),
    Verb(path="schedules.get", ready=add_schedule, given=lambda _c, _y: given("nightly")),
    Verb(path="schedules.remove", ready=add_schedule, given=nightly, changes=1),
    Verb(path="schedules.pause", ready=add_schedule, given=nightly, right=lambda _c, s: s.paused, changes=1),
    Verb(
        path="schedules.resume",
        ready=lambda c: pause_schedule(c),
        given=nightly,
        right=lambda _c, s: not s.paused,
        changes=1,
    ),
    Verb(path="schedules.run_now", ready=add_schedule, given=lambda _c, _y: given("nightly"), results=1),
    Verb(path="schedules.history", ready=add_schedule, given=lambda _c, _y: given("nightly")),
)

CONTROL = (
    Verb(path="control.list", ready=pause_it, right=lambda _c, got: len(got.pauses) >= 1),
    Verb(path="control.pause", given=tenant, changes=1),
    Verb(path="control.resume", ready=pause_it, given=tenant, changes=1),
    Verb(path="control.drain", given=lambda c, _y: given("tenant", c.name, reason=c.name), changes=1),
    Verb(path="control.begin_drain", given=tenant, changes=1),
    Verb(path="control.running", given=lambda c, _y: given("tenant", c.name)),
    Verb(path="control.cap", given=lambda c, _y: given("tenant", c.name, 3, reason=c.name), changes=1),
    Verb(
        path="control.uncap",
        ready=lambda c: c.sure.control.cap("tenant", c.name, 3, reason="ready"),
        given=tenant,
        changes=1,
    ),
    Verb(path="limits.list", ready=set_limits, right=lambda _c, got: len(got) >= 1),
    Verb(path="limits.use", given=lambda c, _y: given(tenant=c.name)),
    Verb(
        path="limits.set",
        given=lambda c, _y: given(tenant=c.name, max_pending=5000, reason=c.name),
        changes=1,
    ),
    Verb(
        path="limits.remove",
        ready=set_limits,
        given=lambda c, _y: given(tenant=c.name, reason=c.name),
        right=lambda _c, left: left is None,
        changes=1,
    ),
    Verb(path="strikes.list", right=lambda _c, got: isinstance(got, list)),
    Verb(path="strikes.add", given=lambda c, _y: given(tenant=c.name, reason=c.name), changes=1),
    Verb(
        path="strikes.lift",
        ready=lambda c: c.sure.strikes.add(tenant=c.name, reason="ready"),
        given=lambda c, _y: given(tenant=c.name, reason=c.name),
        changes=1,
    ),
    Verb(path="tenants.show", given=lambda c, _y: given(c.name)),
    Verb(
        path="tenants.set_retry",
        given=lambda c, _y: given(c.name, Retry(max_attempts=5)),
        right=lambda c, _record: has_retry(c),
    ),
)

KEYS = (
    Verb(path="keys.list", right=lambda _c, got: isinstance(got, list)),
    Verb(
        path="keys.add",
        goes_on=True,
        given=lambda c, _y: given(c.name, reason=c.name),
        right=lambda c, _key: has_one_key(c),
        changes=1,
    ),
    Verb(
        path="keys.revoke",
        ready=lambda c: add_key(c),
        given=lambda c, _y: given(c.there["key"], reason=c.name),
        changes=1,
    ),
)
