"""`client.tenants`: what holds for a tenant's jobs where they say nothing themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import nats.js.errors
from pydantic import ValidationError

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError, UnreadableRecordError
from lorayard.registry.calls import Calls
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.retry import Retry
from lorayard_schemas.tenant import TenantRecord, tenant_key
from lorayard_shared.bus.bucket_writes import put_key

if TYPE_CHECKING:
    from lorayard.link import Link


class Tenants:
    """The records of tenants.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def show(self, tenant: str) -> TenantRecord:
        """A tenant's record; one that says nothing, where there is none.

        Raises:
            UnreadableRecordError: what stands there is no record.
        """
        link = self._open_link()
        async with Answering(link):
            bucket = await link.bus.js.key_value(link.bus.subjects.bucket("tenants"))
            try:
                return decode(TenantRecord, (await bucket.get(tenant_key(tenant))).value or b"")
            except nats.js.errors.KeyNotFoundError:
                return TenantRecord(tenant=tenant)
            except MalformedMessageError as error:
                raise UnreadableRecordError(
                    place=f"the record of tenant {tenant}", reason=str(error)
                ) from error

    async def set_retry(self, tenant: str, retry: Retry | None) -> TenantRecord:
        """Say how a tenant's jobs are tried again that say nothing themselves; None: as the settings have it.

        Raises:
            InvalidRequestError: it cannot be a tenant.
        """
        link = self._open_link()
        try:
            record = TenantRecord(tenant=tenant, retry=retry)
        except ValidationError as error:
            raise InvalidRequestError(field="tenant", reason=f"{tenant!r} cannot be one") from error
        async with Answering(link):
            await put_key(link.bus, "tenants", tenant_key(tenant), encode(record))
        return record


class SyncTenants:
    """`Tenants`, blocking; every method raises as that of `Tenants` does."""

    def __init__(self, tenants: Tenants, thread: Callable[[], Calls]) -> None:
        self._tenants = tenants
        self._thread = thread

    def show(self, tenant: str) -> TenantRecord:
        """A tenant's record; one that says nothing, where there is none."""
        return self._thread().call(self._tenants.show(tenant))

    def set_retry(self, tenant: str, retry: Retry | None) -> TenantRecord:
        """Say how a tenant's jobs are tried again; see `Tenants.set_retry`."""
        return self._thread().call(self._tenants.set_retry(tenant, retry))
