"""Every verb about jobs and dead letters. `verbs` has all of them."""

from __future__ import annotations

from typing import Any

from tests.bus.conftest import ADAPTER
from tests.bus.lost.conftest import Case
from tests.bus.lost.verb import Verb, given

from lorayard import (
    CancelOutcome,
    CancelQuery,
    GenerateRequest,
    JobPlace,
)
from lorayard.cancel_together import FEW
from lorayard_schemas.job import INLINE_BYTES


def all_done(_case: Case, got: Any) -> bool:
    return all(item.error is None for item in got)


async def is_scheduled_once(case: Case, job: str) -> bool:
    return [one.job_id for one in await case.sure.scheduled()] == [job]


async def has_no_letter(case: Case) -> bool:
    return await case.sure.dead.list(tenant=case.name) == []


async def hold_back(case: Case) -> None:
    """Have a job that waits since it was due."""
    await case.sure.control.pause("tenant", case.name, reason="ready")
    await case.sure.submit("hello")


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
        ready=hold_back,
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
    Verb(
        path="place",
        given=lambda c, _y: given(ADAPTER, replicas=(0, 2), reason=c.name),
        right=lambda _c, reply: reply.placement.replicas_max == 2,
        changes=1,
    ),
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
        path="dead.newest",
        ready=Case.bury,
        given=lambda c, _y: given(tenant=c.name),
        right=lambda c, page: [one.job for one in page.letters] == [c.name] and page.total == 1,
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
