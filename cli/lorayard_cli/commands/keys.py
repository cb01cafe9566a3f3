"""`lorayard keys`: who may speak through a gateway, and as which tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.connection import client
from lorayard_cli.durations import duration, read_duration
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature
from lorayard_schemas.api_key import ApiKeyRecord, KeyRole


async def add(
    tenant: str,
    *,
    role: KeyRole = KeyRole.TENANT,
    for_: Annotated[str | None, Parameter(name="--for", validator=duration)] = None,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Make a key whose jobs are a tenant's. It is shown this once: the yard keeps only its digest.

    Parameters
    ----------
    tenant
        Whose jobs, adapters and limits are those of who shows it.
    role
        What it opens on the page of gateways: what is its tenant's, or all of the yard, to look at (viewer)
        or to change (operator).
    for_
        How long it holds, as 90d or 12h; else until it is revoked.
    """
    async with client(yard, actor=signature.by) as connected:
        made = await connected.keys.add(
            tenant,
            role=role,
            reason=signature.why,
            expires_in_seconds=None if for_ is None else read_duration(for_),
        )
    if output.json:
        print_json({"key": made.key, **_shown(made.record)})
        return
    print_text(made.key)
    note(f"key {made.record.id} of tenant {tenant}; it cannot be shown again")


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the keys: their ids, never the keys themselves."""
    async with client(yard) as connected:
        found = await connected.keys.list()
    if output.json:
        print_json({"keys": [_shown(one) for one in found]})
        return
    if not found:
        note("no keys; `lorayard keys add TENANT` makes one")
        return
    shown = table("id", "tenant", "role", "since", "until", "by", "why")
    for one in found:
        until = "" if one.expires_at is None else _day(one.expires_at)
        shown.add_row(
            *map(plain, (one.id, one.tenant, one.role.value, _day(one.at), until, one.by, one.note))
        )
    out().print(shown)


async def revoke(
    key_id: str,
    *,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Let a key in no more, at every gateway within a second. What it has asked already runs on.

    Parameters
    ----------
    key_id
        As `lorayard keys ls` shows it.
    """
    async with client(yard, actor=signature.by) as connected:
        record = await connected.keys.revoke(key_id, reason=signature.why)
    if output.json:
        print_json({"revoked": record.id, "tenant": record.tenant})
    else:
        print_text(f"revoked: key {record.id} of tenant {record.tenant}")


def _shown(record: ApiKeyRecord) -> dict[str, object]:
    return record.model_dump(mode="json", exclude={"sha256", "v"})


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
