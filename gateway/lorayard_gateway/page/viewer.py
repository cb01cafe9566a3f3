"""Who looks at the page, and what that one may see and do."""

from __future__ import annotations

import time
from typing import Final

from starlette.requests import Request

from lorayard_gateway.errors import host_refused, no_key, wrong_key
from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.errors import role_refused, tenant_refused
from lorayard_gateway.settings import PageMode
from lorayard_schemas.api_key import ApiKeyRecord, KeyRole
from lorayard_shared.value import value

COOKIE: Final = "lorayard_key"
"""Holds the key itself, out of reach of scripts: any gateway knows who asks, and none keeps sessions."""


@value
class Viewer:
    """One of them, at one request."""

    name: str
    """For the audit trail: who did it."""
    role: KeyRole
    tenant: str
    """Of the key; without keys the gateway's own."""
    may_act: bool = False
    may_read_texts: bool = False
    """Prompts and answers."""

    @property
    def scope(self) -> str | None:
        """The tenant that is all there is for this viewer; None: the whole yard."""
        return self.tenant if self.role is KeyRole.TENANT else None

    def check_tenant(self, tenant: str) -> None:
        """Raises ApiError where a tenant's things are not to be seen."""
        if self.scope not in (None, tenant):
            raise tenant_refused()

    def check_acting(self) -> None:
        """Raises ApiError where this viewer may change nothing."""
        if not self.may_act:
            raise role_refused()


def viewer_of(gateway: Gateway, request: Request) -> Viewer:
    """Whose request it is.

    Raises:
        ApiError: nobody's.
    """
    settings = gateway.settings
    operate = settings.gateway_page is PageMode.OPERATE
    if not settings.gateway_keys:
        if not gateway.is_named_locally(request):
            raise host_refused()
        return Viewer(
            name=settings.actor,
            role=KeyRole.OPERATOR if operate else KeyRole.VIEWER,
            tenant=settings.tenant,
            may_act=operate,
            may_read_texts=settings.gateway_page_texts,
        )
    record = gateway.keys.find(shown_key(request), time.time())
    if record is None:
        raise wrong_key()
    may_act = operate and record.role is KeyRole.OPERATOR
    texts = settings.gateway_page_texts and record.role is not KeyRole.VIEWER
    return Viewer(
        name=_name(record), role=record.role, tenant=record.tenant, may_act=may_act, may_read_texts=texts
    )


def shown_key(request: Request) -> str:
    """The key in a header, else in the cookie.

    Raises:
        ApiError: none.
    """
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip() if kind.lower() == "bearer" else request.cookies.get(COOKIE, "")
    if not key:
        raise no_key()
    return key


def _name(record: ApiKeyRecord) -> str:
    return f"key {record.id} of {record.tenant}"
