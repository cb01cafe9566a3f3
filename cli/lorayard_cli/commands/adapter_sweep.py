"""`lorayard adapters sweep`: what lies in the store for nobody."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, no_negative
from lorayard_cli.output import note, print_json, print_text
from lorayard_cli.transfer_progress import megabytes
from lorayard_shared.registry.sweeping import ORPHAN_SECONDS


async def sweep(
    *,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    older_than: Annotated[float, Parameter(validator=no_negative)] = ORPHAN_SECONDS,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Take out of the store what no version and no classifier needs, as pushes leave that were cut.

    Parameters
    ----------
    dry_run
        Say what would go, and remove nothing.
    older_than
        Seconds, by the server's clock: what is younger may belong to a push under way.
    """
    async with client(yard) as connected:
        report = await connected.adapters.sweep(older_than_seconds=older_than, dry_run=dry_run)
    if output.json:
        print_json(
            {
                "dry_run": dry_run,
                "objects": list(report.objects),
                "pieces": report.pieces,
                "freed_bytes": report.freed_bytes,
                "young": report.young,
            }
        )
        return
    for name in report.objects if dry_run else ():
        print_text(name)
    what = f"{len(report.objects)} objects and {report.pieces} unfinished pieces"
    done = "would be removed" if dry_run else "are removed"
    print_text(f"{what} {done}; {megabytes(report.freed_bytes)} MB of the store")
    if report.young:
        note(f"{report.young} are younger than {older_than:g} s and stay: a push may be under way")
