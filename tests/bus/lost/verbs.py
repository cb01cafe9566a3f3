"""Every verb of a client, how it is called, and what must be so when it has returned."""

from __future__ import annotations

from typing import Any

from tests.bus.conftest import ADAPTER
from tests.bus.lost.conftest import Case
from tests.bus.lost.verb import Given, Verb, given

from lorayard import (
    Adapters,
    AdmissionLimits,
    Aliases,
    CancelOutcome,
    CancelQuery,
    Client,
    Control,
    DeadLetters,
    GenerateRequest,
    JobHandle,
    JobPlace,
    Keys,
    Match,
    Retry,
    RouteRule,
    RouteTable,
    Rules,
    Schedules,
    Strikes,
)
from lorayard.cancel_together import FEW
from lorayard.job_lists import Jobs
from lorayard.registry.classifiers import Classifiers
from lorayard.registry.models import Models
from lorayard.tenants import Tenants
from lorayard_schemas.job import INLINE_BYTES


def all_done(_case: Case, got: Any) -> bool:
    return all(item.error is None for item in got)


async def add_schedule(case: Case) -> None:
    await case.sure.schedules.add("nightly", "hello", cron="0 3 * * *", reason="ready")


async def pause_it(case: Case) -> None:
    await case.sure.control.pause("tenant", case.name, reason="ready")


async def split(case: Case) -> None:
    await case.sure.aliases.split(f"{ADAPTER}@{case.name}", {"1": 100}, preload_seconds=None, reason="ready")


async def split_twice(case: Case) -> None:
    await split(case)
    await case.sure.aliases.split(f"{ADAPTER}@{case.name}", {"2": 100}, preload_seconds=None, reason="ready")


async def set_limits(case: Case) -> None:
    await case.sure.limits.set(tenant=case.name, max_pending=5000, reason="ready")


async def validated(case: Case) -> None:
    await case.push()
    await case.sure.adapters.validate(f"{case.adapter}@1")


async def serving(case: Case) -> None:
    await case.push()
    await case.sure.adapters.activate(f"{case.adapter}@1")


async def two_tables(case: Case) -> None:
    for number in (1, 2):
        await case.sure.rules.set(table(case, number), reason="ready")


def table(case: Case, number: int) -> RouteTable:
    rule = RouteRule(name=f"{case.name}-{number}", task=Match(exact=case.name), adapter=ADAPTER)
    return RouteTable(rules=(rule,))


def versioned(case: Case, _client: Any) -> Given:
    return given(f"{case.adapter}@1", reason=case.name)


def tenant(case: Case, _client: Any) -> Given:
    return given("tenant", case.name, reason=case.name)


def nightly(case: Case, _client: Any) -> Given:
    return given("nightly", reason=case.name)


JOBS = (
    Verb(
        path="generate", given=lambda _c, _y: given("hello"), right=lambda _c, r: r.text == "hello", results=1
    ),
    Verb(path="submit", given=lambda _c, _y: given("hello"), right=lambda _c, h: not h.existing, results=1),
    Verb(
        path="submit",
        note="with a key",
        given=lambda c, _y: given("hello", idempotency_key=c.name),
        results=1,
    ),
    Verb(
        path="submit",
        note="a long prompt",
        given=lambda _c, _y: given("x" * (INLINE_BYTES + 1)),
        results=1,
    ),
    Verb(
        path="submit",
        note="for later",
        given=lambda _c, _y: given("hello", delay_seconds=3600),
        right=lambda c, h: is_scheduled_once(c, h.id),
    ),
    Verb(
        path="submit_many",
        given=lambda _c, _y: given([GenerateRequest(f"hello {n}") for n in range(5)]),
        right=lambda _c, report: len(report.all_handles()) == 5,
        results=5,
    ),
    Verb(
        path="submit_many",
        note="atomic",
        given=lambda _c, _y: given([GenerateRequest(f"hello {n}") for n in range(5)], atomic=True),
        right=lambda _c, report: not any(handle.existing for handle in report.all_handles()),
        results=5,
    ),
    Verb(
        path="stream",
        given=lambda _c, _y: given("hello"),
        right=lambda _c, pieces: "".join(pieces) == "hello",
        results=1,
    ),
    Verb(path="map", given=lambda _c, _y: given(["a", "b", "c"]), right=all_done, results=3),
    Verb(
        path="wait",
        ready=Case.end,
        given=lambda c, y: given([y.handle(c.there["ended"])], timeout_seconds=30),
        right=lambda _c, report: len(report.done) == 1,
    ),
    Verb(
        path="as_completed",
        ready=Case.end,
        given=lambda c, y: given([y.handle(c.there["ended"])], timeout_seconds=30),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(path="handle.result", job="ended", ready=Case.end, right=lambda _c, r: r.text == "hello"),
    Verb(path="handle.outcome", job="ended", ready=Case.end, right=lambda _c, r: r.succeeded),
    Verb(path="handle.done", job="ended", ready=Case.end, right=lambda _c, done: done),
    Verb(
        path="handle.status",
        job="held",
        ready=Case.hold,
        right=lambda _c, status: status.place is JobPlace.SCHEDULED,
    ),
    Verb(
        path="handle.events",
        job="ended",
        ready=Case.end,
        right=lambda _c, events: "".join(event.text for event in events) == "hello",
    ),
    Verb(
        path="handle.text_stream",
        job="ended",
        ready=Case.end,
        right=lambda _c, pieces: "".join(pieces) == "hello",
    ),
    Verb(
        path="handle.cancel",
        goes_on=True,
        job="held",
        ready=Case.hold,
        right=lambda _c, outcome: outcome is CancelOutcome.CANCELLED,
        results=1,
    ),
    Verb(
        path="cancel_many",
        goes_on=True,
        ready=Case.hold,
        given=lambda c, _y: given([c.there["held"]]),
        right=lambda c, report: report.outcomes == {c.there["held"]: CancelOutcome.CANCELLED},
        results=1,
    ),
    Verb(
        path="cancel_many",
        note="together",
        goes_on=True,
        ready=Case.hold_many,
        given=lambda c, _y: given(c.there["many"]),
        right=lambda c, report: report.outcomes == dict.fromkeys(c.there["many"], CancelOutcome.CANCELLED),
        results=FEW + 1,
    ),
    Verb(
        path="cancel_where",
        goes_on=True,
        ready=Case.hold,
        given=lambda _c, _y: given(CancelQuery(lane="bulk")),
        right=lambda c, report: report.outcomes == {c.there["held"]: CancelOutcome.CANCELLED},
        results=1,
    ),
    Verb(path="queue_depth", ready=Case.hold, right=lambda _c, depth: depth.total >= 1),
    Verb(
        path="snapshot",
        ready=Case.hold,
        right=lambda _c, got: got.overview.delayed >= 1 and got.overview.workers == 1,
    ),
    Verb(path="scheduled", right=lambda _c, got: got == []),
    Verb(
        path="jobs.queued",
        ready=Case.hold,
        given=lambda _c, _y: given(limit=1),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(
        path="jobs.recent",
        ready=Case.end,
        given=lambda _c, _y: given(limit=1),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(path="models.__call__"),
    Verb(path="workers", right=lambda _c, got: len(got) == 1),
    Verb(path="place", given=lambda _c, _y: given(ADAPTER, replicas=(0, 2))),
    Verb(path="placements", right=lambda _c, report: report is not None),
)

LETTERS = (
    Verb(
        path="dead.list",
        ready=Case.bury,
        given=lambda c, _y: given(tenant=c.name),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(
        path="dead.all",
        ready=Case.bury,
        given=lambda c, _y: given(tenant=c.name),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(
        path="dead.show",
        ready=Case.bury,
        given=lambda c, _y: given(c.there["letter"]),
        right=lambda c, letter: letter.job == c.name,
    ),
    Verb(
        path="dead.redrive",
        ready=Case.bury,
        given=lambda c, _y: given(c.there["letter"]),
        right=lambda c, report: report.new_job == f"{c.name}-r1",
        results=1,
    ),
    Verb(
        path="dead.redrive_all",
        ready=Case.bury,
        given=lambda c, _y: given(tenant=c.name),
        right=lambda c, got: [report.new_job for report in got] == [f"{c.name}-r1"],
        results=1,
    ),
    Verb(
        path="dead.purge",
        ready=Case.bury,
        given=lambda c, _y: given(c.there["letter"]),
        right=lambda c, _letter: has_no_letter(c),
    ),
    Verb(
        path="dead.purge_all",
        ready=Case.bury,
        given=lambda c, _y: given(tenant=c.name),
        right=lambda c, got: len(got) == 1 and has_no_letter(c),
    ),
)

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

ALIASES = (
    Verb(path="aliases.list", ready=split, right=lambda _c, got: len(got) >= 1),
    Verb(
        path="aliases.history",
        ready=split,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}"),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(
        path="aliases.split",
        goes_on=True,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", {"1": 90, "2": 10}, reason=c.name),
        right=lambda c, _report: has_revisions(c, 1),
        changes=1,
    ),
    Verb(
        path="aliases.promote",
        goes_on=True,
        ready=split,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", "2", reason=c.name),
        right=lambda c, _report: has_revisions(c, 2),
        changes=1,
    ),
    Verb(
        path="aliases.rollback",
        goes_on=True,
        ready=split_twice,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", reason=c.name),
        right=lambda c, _record: has_revisions(c, 3),
        changes=1,
    ),
    Verb(
        path="aliases.unalias",
        ready=split,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", reason=c.name),
        changes=1,
    ),
)

ADAPTERS = (
    Verb(path="adapters.__call__", right=lambda _c, got: len(got) >= 2),
    Verb(path="adapters.find", ready=Case.push, given=lambda c, _y: given(f"{c.adapter}@1")),
    Verb(
        path="adapters.push",
        given=lambda c, _y: given(c.weights(), name=c.adapter, version="1", reason=c.name),
        right=lambda c, _report: is_sound(c),
        changes=1,
    ),
    Verb(
        path="adapters.pull",
        ready=Case.push,
        given=lambda c, _y: given(c.adapter, c.folder / f"{c.name}-pulled"),
    ),
    Verb(
        path="adapters.verify",
        ready=Case.push,
        given=lambda c, _y: given(c.adapter),
        right=lambda _c, got: [check.sound for check in got] == [True],
    ),
    Verb(path="adapters.verify_classifiers", right=lambda _c, got: got == []),
    Verb(path="adapters.repair", ready=Case.push, given=lambda c, _y: given(c.weights(), c.adapter)),
    Verb(path="adapters.sweep", given=lambda _c, _y: given(dry_run=True), alone=True),
    Verb(path="adapters.diff", ready=Case.push, given=lambda c, _y: given(c.adapter, c.weights())),
    Verb(
        path="adapters.validate",
        ready=Case.push,
        given=versioned,
        right=lambda _c, record: record.state == "validated",
    ),
    Verb(
        path="adapters.activate",
        ready=validated,
        given=versioned,
        right=lambda _c, record: record.state == "active",
        changes=1,
    ),
    Verb(path="adapters.archive", ready=serving, given=versioned, changes=1),
    Verb(
        path="adapters.amend",
        ready=Case.push,
        given=lambda c, _y: given(f"{c.adapter}@1", labels={"a": "b"}, reason=c.name),
        changes=1,
    ),
    Verb(path="adapters.remove", ready=Case.push, given=versioned, changes=1),
)

RULES = (
    Verb(path="rules.get", alone=True),
    Verb(path="rules.history", alone=True),
    Verb(path="rules.set", given=lambda c, _y: given(table(c, 1), reason=c.name), changes=1, alone=True),
    Verb(
        path="rules.rollback",
        goes_on=True,
        ready=two_tables,
        given=lambda c, _y: given(reason=c.name),
        right=lambda c, now: now.rules == table(c, 1).rules,
        changes=1,
        alone=True,
    ),
    Verb(path="rules.test", given=lambda c, _y: given(task=c.name, prompt="hello")),
    Verb(path="rules.classifier.get"),
    Verb(path="rules.classifier.history"),
)

PARTS: dict[str, type] = {
    "": Client,
    "handle.": JobHandle,
    "adapters.": Adapters,
    "aliases.": Aliases,
    "rules.": Rules,
    "rules.classifier.": Classifiers,
    "limits.": AdmissionLimits,
    "keys.": Keys,
    "strikes.": Strikes,
    "tenants.": Tenants,
    "models.": Models,
    "dead.": DeadLetters,
    "jobs.": Jobs,
    "control.": Control,
    "schedules.": Schedules,
}

VERBS = (*JOBS, *LETTERS, *SCHEDULES, *CONTROL, *KEYS, *ALIASES, *ADAPTERS, *RULES)

ELSEWHERE = {
    "open": "nothing was asked before it",
    "close": "it waits for nothing that could be lost",
    "handle": "it asks nobody",
    "job_id": "it asks nobody",
    "handle.id": "it asks nobody",
    "handle.existing": "it asks nobody",
    "handle.__await__": "it is `result`",
    "models.fetch_tokenizer": "its file comes as those of adapters.pull, by the same code",
    "rules.classifier.put": "its files go as those of adapters.push, its record as that of rules.set",
    "rules.classifier.train": "it is `put` of what was made here",
    "rules.classifier.evaluate": "its files come as those of adapters.pull",
    "rules.classifier.rollback": "it is written as rules.rollback, by the same code",
    "rules.classifier.off": "it is written as rules.set, by the same code",
}
"""Verbs that have no line of their own, and why."""


async def add_key(case: Case) -> None:
    case.there["key"] = (await case.sure.keys.add(case.name, reason="ready")).record.id


async def has_one_key(case: Case) -> bool:
    return [key.tenant for key in await case.sure.keys.list()].count(case.name) == 1


async def is_scheduled_once(case: Case, job: str) -> bool:
    return [one.job_id for one in await case.sure.scheduled()] == [job]


async def has_no_letter(case: Case) -> bool:
    return await case.sure.dead.list(tenant=case.name) == []


async def pause_schedule(case: Case) -> None:
    await add_schedule(case)
    await case.sure.schedules.pause("nightly", reason="ready")


async def has_retry(case: Case) -> bool:
    return (await case.sure.tenants.show(case.name)).retry == Retry(max_attempts=5)


async def has_revisions(case: Case, number: int) -> bool:
    return len(await case.sure.aliases.history(f"{ADAPTER}@{case.name}")) == number


async def is_sound(case: Case) -> bool:
    return [check.sound for check in await case.sure.adapters.verify(case.adapter)] == [True]
