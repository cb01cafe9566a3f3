"""`lorayard jobs`: what the yard holds."""

from __future__ import annotations

import time
from typing import Annotated

from cyclopts import Parameter

from lorayard import ScheduledJob
from lorayard_cli.connection import client
from lorayard_cli.moments import shown
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, table


async def scheduled(
    *,
    tenant: str | None = None,
    limit: Annotated[int, Parameter(name=("--limit", "-n"))] = 100,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """List the jobs that wait for their time, or to be tried again, the soonest first.

    Parameters
    ----------
    tenant
        Only this one's; else those of all.
    limit
        At most so many lines; with --json all are told.
    """
    async with client(yard) as connected:
        found = await connected.scheduled(all_tenants=True)
    found = [one for one in found if tenant is None or one.address.tenant == tenant]
    if output.json:
        print_json({"scheduled": [_document(one) for one in found]})
        return
    if not found:
        note("no job waits for its time")
        return
    now = time.time()
    listed = table("at", "in s", "tenant", "lane", "adapter", "attempt", "job", right=("in s", "attempt"))
    for one in found[: max(0, limit)]:
        address = one.address
        cells = (address.tenant, address.lane.value, address.adapter or "-", str(one.attempt), one.job_id)
        listed.add_row(*map(plain, (shown(one.at), f"{one.at - now:.0f}", *cells)))
    out().print(listed)
    if len(found) > limit:
        note(f"{len(found) - limit} more; --limit shows them")


def _document(one: ScheduledJob) -> dict[str, object]:
    address = one.address
    return {
        "job": one.job_id,
        "at": one.at,
        "tenant": address.tenant,
        "lane": address.lane.value,
        "adapter": address.adapter,
        "attempt": one.attempt,
    }
