"""`lorayard tenants`: what holds for a tenant's jobs where they say nothing themselves."""

from __future__ import annotations

from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import print_json, print_text
from lorayard_cli.retrying import read_retry
from lorayard_schemas.tenant import TenantRecord


async def show(tenant: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show how a tenant's jobs are tried again."""
    async with client(yard) as connected:
        _tell(await connected.tenants.show(tenant), output)


async def retry(
    tenant: str,
    *,
    max_attempts: int | None = None,
    base_seconds: float | None = None,
    cap_seconds: float | None = None,
    dead_letter: bool | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Say how a tenant's jobs are tried again. What is not given is left to the yard's settings.

    Parameters
    ----------
    tenant
        Whose jobs.
    max_attempts
        In all, 1 to 20.
    base_seconds
        The shortest wait before another attempt.
    cap_seconds
        The longest.
    dead_letter
        Whether a job that is given up leaves a dead letter.
    """
    given = {"max_attempts": max_attempts, "base_seconds": base_seconds, "cap_seconds": cap_seconds}
    wish = read_retry({**given, "dead_letter": dead_letter})
    async with client(yard) as connected:
        _tell(await connected.tenants.set_retry(tenant, wish), output)


def _tell(record: TenantRecord, output: Output) -> None:
    said = {} if record.retry is None else record.retry.model_dump(exclude_none=True)
    if output.json:
        print_json({"tenant": record.tenant, "retry": said})
    else:
        told = ", ".join(f"{name} {value}" for name, value in said.items())
        print_text(f"{record.tenant}: {told or 'as the settings of the yard have it'}")
