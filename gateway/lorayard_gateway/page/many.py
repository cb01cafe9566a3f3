"""Deeds on many things at once: no more of them than were confirmed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lorayard import (
    CancelOutcome,
    CancelQuery,
    CancelReport,
    Client,
    LetterUnknownError,
    Redriven,
    RedriveOutcome,
)
from lorayard_gateway.page.deeds import CancelListed, CancelMatching, RedriveListed, RedriveMatching
from lorayard_gateway.page.errors import nothing_meant
from lorayard_gateway.page.letters import dead_query
from lorayard_shared.value import value

ClientOf = Callable[[str], Awaitable[Client]]
"""A tenant's client that acts in the name of who is at the page: the audit trail names that one."""

UNDONE = (RedriveOutcome.REFUSED, RedriveOutcome.FAILED)


@value
class Done:
    """What came of a deed."""

    text: str
    count: int = 1
    """Things that it was done to, or would be."""
    failed: int = 0


async def cancel_matching(client_of: ClientOf, client: Client, deed: CancelMatching) -> Done:
    """Cancel jobs of a tenant, or of all, by a query.

    Raises:
        ApiError: it means all jobs of all tenants.
    """
    given = (deed.tenant, deed.lane, deed.adapter, deed.named, deed.older_than_seconds)
    if all(one is None for one in given):
        raise nothing_meant()
    query = CancelQuery(
        adapter=deed.adapter,
        named=deed.named,
        lane=deed.lane,
        older_than_seconds=deed.older_than_seconds,
    )
    tenants = [deed.tenant] if deed.tenant is not None else await _tenants(client)
    reports: list[CancelReport] = []
    left = deed.most
    for tenant in tenants:
        if not left:
            break
        of_tenant = await client_of(tenant)
        report = await of_tenant.cancel_where(query, most=left, dry_run=deed.count_only)
        left -= len(report.outcomes)
        reports.append(report)
    if deed.count_only:
        count = sum(len(one.outcomes) + one.beyond for one in reports)
        return Done(text=f"{_jobs(count)} would end", count=count)
    return _cancelled(reports)


async def cancel_listed(client_of: ClientOf, deed: CancelListed) -> Done:
    """Cancel these jobs and no others."""
    by_tenant: dict[str, list[str]] = {}
    for one in deed.jobs:
        by_tenant.setdefault(one.tenant, []).append(one.job)
    return _cancelled(
        [await (await client_of(tenant)).cancel_many(jobs) for tenant, jobs in by_tenant.items()]
    )


async def redrive_matching(client: Client, deed: RedriveMatching) -> Done:
    """Try jobs of dead letters again, by a query."""
    query = dead_query(deed.tenant, deed.adapter, deed.code, limit=deed.most)
    if deed.count_only and deed.adapter is None and deed.code is None:
        query["limit"] = 1
        count = min((await client.dead.newest(**query)).total, deed.most)  # the server has counted them
        return Done(text=f"{_jobs(count)} would be tried again", count=count)
    if deed.count_only:
        count = 0
        async for _ in client.dead.all(**query):
            count += 1
        return Done(text=f"{_jobs(count)} would be tried again", count=count)
    return _redriven([report async for report in client.dead.redrive_all(**query)])


async def redrive_listed(client: Client, deed: RedriveListed) -> Done:
    """Try the jobs of these letters again; a letter that is gone was tried or thrown away meanwhile."""
    reports: list[Redriven] = []
    for number in deed.numbers:
        try:
            reports.append(await client.dead.redrive(number))
        except LetterUnknownError:
            continue
    return _redriven(reports)


async def _tenants(client: Client) -> list[str]:
    """Those that have unfinished jobs."""
    depth, scheduled = await client.queue_depth(), await client.scheduled(all_tenants=True)
    return sorted({one.tenant for one in depth.unfinished} | {one.address.tenant for one in scheduled})


def _cancelled(reports: Sequence[CancelReport]) -> Done:
    count = sum(one.count(CancelOutcome.CANCELLED) for one in reports)
    failed = sum(len(one.errors) for one in reports)
    before = sum(len(one.outcomes) for one in reports) - count - failed
    ended = f", {before} had ended before" if before else ""
    return Done(text=f"{_jobs(count)} cancelled{ended}{_but(failed)}", count=count, failed=failed)


def _redriven(reports: Sequence[Redriven]) -> Done:
    failed = sum(one.outcome in UNDONE for one in reports)
    count = len(reports) - failed
    return Done(text=f"{_jobs(count)} queued again{_but(failed)}", count=count, failed=failed)


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def _but(failed: int) -> str:
    return f", {failed} could not be" if failed else ""
