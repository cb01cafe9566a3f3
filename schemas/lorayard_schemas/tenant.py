"""What a yard holds of one tenant: one record, in the bucket `yard_tenants`, under the tenant's key token."""

from __future__ import annotations

from lorayard_schemas.message import Message
from lorayard_schemas.names import Tenant, key_token
from lorayard_schemas.retry import Retry


class TenantRecord(Message):
    """An operator's word on a tenant. Each part is one subject's; None: the yard's settings count."""

    tenant: Tenant
    retry: Retry | None = None
    """For jobs that say nothing else."""


def tenant_key(tenant: str) -> str:
    """The bucket key of a tenant's record."""
    return key_token(tenant)
