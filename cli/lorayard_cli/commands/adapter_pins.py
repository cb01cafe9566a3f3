"""`lorayard adapters pin` and `unpin`: short words for what `place` says; what else is declared stays."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard.placing import PlaceOptions
from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.placements import tell_placed


async def pin(
    adapter: str,
    *,
    worker: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None,
    why: str = "",
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Have an adapter's replicas, one at least, stay in their slots.

    Ends with 5 when the fleet cannot hold it; nothing is changed then.

    Parameters
    ----------
    adapter
        Its name, for the newest version and those to come, or name@version.
    worker
        A worker's name, or `label=value` of its labels, in place of those declared before; may be given
        several times, and any may fit. Left out, they stay as they were.
    why
        Kept in the audit records.
    """
    options = PlaceOptions(pin=True, reason=why)
    if worker is not None:
        options["on"] = worker
    async with client(yard) as connected:
        reply = await connected.place(adapter, **options)
    tell_placed(adapter, reply, as_json=output.json)


async def unpin(adapter: str, *, why: str = "", yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Let an adapter make way for others again; workers and replicas that were declared stay declared.

    Parameters
    ----------
    adapter
        As it was pinned: its name, or name@version.
    why
        Kept in the audit records.
    """
    async with client(yard) as connected:
        reply = await connected.place(adapter, pin=False, reason=why)
    tell_placed(adapter, reply, as_json=output.json)
