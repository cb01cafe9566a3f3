"""`/ui/api/dead`: jobs that were given up, without what they asked."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from lorayard import DeadQuery, Letter
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import Viewer
from lorayard_gateway.queries import Query, read_query


class LettersQuery(Query):
    """Which letters."""

    tenant: str = ""
    adapter: str = ""
    code: str = ""
    limit: int = Field(default=500, ge=1, le=2000)


async def list_letters(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """The oldest first.

    Raises:
        ApiError: they are another tenant's.
    """
    query = read_query(LettersQuery, request.query_params)
    if query.tenant:
        viewer.check_tenant(query.tenant)
    client = await gateway.client(viewer.tenant)
    meant = dead_query(query.tenant or viewer.scope, query.adapter, query.code, limit=query.limit + 1)
    found = await client.dead.list(**meant)
    letters = [_told(one) for one in found[: query.limit]]
    return page_reply({"letters": letters, "more": len(found) > query.limit})


def dead_query(tenant: str | None, adapter: str | None, code: str | None, *, limit: int) -> DeadQuery:
    """What is given of it."""
    query = DeadQuery(limit=limit)
    if tenant:
        query["tenant"] = tenant
    if adapter:
        query["adapter"] = adapter
    if code:
        query["code"] = code
    return query


def _told(letter: Letter) -> dict[str, Any]:
    return {
        "number": letter.number,
        "job": letter.job,
        "tenant": letter.tenant,
        "adapter": letter.adapter,
        "code": letter.code,
        "reason": letter.reason,
        "deliveries": letter.told.deliveries,
        "attempts": [one.model_dump(mode="json") for one in letter.attempts],
        "at": letter.at,
    }
