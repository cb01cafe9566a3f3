"""`/ui/api/dead`: jobs that were given up, without what they asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from lorayard import DeadQuery, Letter, LetterPage
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.replies import page_bytes
from lorayard_gateway.page.viewer import Viewer
from lorayard_gateway.queries import Query, read_query
from lorayard_gateway.replies import JSON

KEPT = 32
"""Answers, some hundred kilobytes each: whoever looks at a list asks for it every few seconds."""


class LettersQuery(Query):
    """Which letters."""

    tenant: str = ""
    adapter: str = ""
    code: str = ""
    before: int | None = Field(default=None, ge=1, le=2**53)
    """Those with a lower number: `older` of the page before."""
    limit: int = Field(default=200, ge=1, le=2000)


class Letters:
    """Lists of letters of one gateway: they are read anew only where one has come or gone."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str | None, LettersQuery], tuple[LetterPage, bytes]] = {}

    async def answer(self, gateway: Gateway, request: Request, viewer: Viewer) -> Response:
        """A page of them, the newest first, and how many there are.

        Raises:
            ApiError: they are another tenant's.
        """
        query = read_query(LettersQuery, request.query_params)
        if query.tenant:
            viewer.check_tenant(query.tenant)
        tenant = query.tenant or viewer.scope
        client = await gateway.client(viewer.tenant)
        known, body = self._kept.pop((tenant, query), (None, b""))
        meant = dead_query(tenant, query.adapter, query.code, limit=query.limit)
        page = await client.dead.newest(before=query.before, known=known, **meant)
        if page is not known:
            listed = [_told(one) for one in page.letters]
            body = page_bytes({"letters": listed, "total": page.total, "older": page.older})
        self._keep((tenant, query), page, body)
        return Response(body, media_type=JSON)

    def _keep(self, key: tuple[str | None, LettersQuery], page: LetterPage, body: bytes) -> None:
        """As the newest; what the jobs asked is not kept."""
        self._kept[key] = (replace(page, letters=()), body)
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]


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
