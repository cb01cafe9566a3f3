"""`lorayard adapters amend`: what is said of a version, changed after its first push."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard.registry.amending import said_of
from lorayard_cli.commands.adapter_files import read_labels
from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import print_json, print_text


async def amend(
    adapter: str,
    *,
    label: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    unlabel: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    tenant: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    all_tenants: Annotated[bool, Parameter(negative="")] = False,
    why: str = "",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Change a version's labels, and which tenants may use it; its bytes never change.

    It counts at once: jobs of tenants that may not use it any more are refused as if it did not exist, also
    those that wait. What has begun runs on.

    Parameters
    ----------
    adapter
        name@version
    label
        `key=value` to be set; may be given several times. Other labels stay.
    unlabel
        A key to be taken away; may be given several times.
    tenant
        Who may use it from now on, instead of those who might before; may be given several times.
    all_tenants
        Everybody may use it.
    why
        For the record.
    """
    async with client(yard) as connected:
        record = await connected.adapters.amend(
            adapter,
            labels=read_labels(label),
            unlabel=unlabel,
            tenants=tenant or None,
            all_tenants=all_tenants,
            reason=why,
        )
    if output.json:
        print_json({"adapter": record.model_dump(mode="json")})
        return
    print_text(f"{record.label}: {said_of(record)}")
