"""`lorayard doctor`: what is wrong, and what mends it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lorayard import BusUnavailableError
from lorayard_cli.checks.bus import check_bus
from lorayard_cli.checks.finding import Finding, Level, healthy, ok
from lorayard_cli.checks.looking import Look, look_at_all
from lorayard_cli.checks.reach import why_unreachable
from lorayard_cli.checks.whole import Asked, machine_looks, yard_looks
from lorayard_cli.connection import client
from lorayard_cli.embedded.data_folder import running_yard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, data_folder, models_folder
from lorayard_cli.output import out, plain, print_json, table
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import read_settings
from lorayard_workers.settings import WorkerSettings

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}

BUS_SECONDS = 20.0
"""A bus in order is compared with its declarations in a tenth of one; a stream that is stuck takes 5."""

MENDING_SECONDS = 600.0
"""A change of partitions moves jobs, a millisecond each."""


async def doctor(
    *,
    mend: Annotated[bool, Parameter(negative="")] = False,
    deep: Annotated[bool, Parameter(negative="")] = False,
    adapters: Path | None = None,
    model: str | None = None,
    data: Path | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Look at bus, declarations, records, clocks, queue, workers, adapters, device, memory and disk.

    Each finding says what mends it. Ends with 0 when nothing failed, 3 when there is no bus, 1 when something
    else failed.

    Parameters
    ----------
    mend
        Create what is missing on the bus, change what differs from its declaration, and replace records that
        no version can have written.
    deep
        Also read every adapter, the values of those in the folder and the digests of those in the store, and
        every audit record.
    adapters
        Check this adapters folder; that of the running yard when absent.
    model
        Which base model should be ready; that of the running yard, else gemma3-270m.
    data
        Folder of the embedded yard.
    """
    folder = data_folder(data)
    running = running_yard(folder)
    served = Path(running.adapters) if running and running.adapters else None
    asked = Asked(
        address=yard,
        settings=yard.settings(),
        worker=read_settings(WorkerSettings),
        running=running,
        data=folder,
        models=models_folder(),
        model=model or (running.base_model if running else "gemma3-270m"),
        adapters=adapters or served,
        mending=mend,
        deep=deep,
    )
    findings = await _check_yard(asked)
    connected = findings[0].level is Level.OK
    findings += await look_at_all(machine_looks(asked))
    _print(findings, as_json=output.json)
    if not connected:
        return ExitCode.NO_BUS
    return ExitCode.OK if healthy(findings) else ExitCode.FAILED


async def _check_yard(asked: Asked) -> list[Finding]:
    try:
        bus = await connect(asked.settings, name="cli-doctor")
    except BusUnavailableError as error:
        return [await why_unreachable(asked.settings, error.reason)]
    findings = [ok("bus", f"answers at {asked.settings.shown_url}")]
    async with bus, client(asked.address) as connected:
        declared = Look(
            check="bus",
            find=lambda: check_bus(bus, mending=asked.mending),
            seconds=MENDING_SECONDS if asked.mending else BUS_SECONDS,
        )
        findings += await look_at_all([declared])
        if healthy(findings):
            findings += await look_at_all(yard_looks(asked, bus, connected))
    return findings


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json({"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]})
        return
    made = table("", "check", "found")
    for finding in findings:
        colour = _COLOURS[finding.level]
        mend = f"\n[bold]mend:[/] {plain(finding.mend)}" if finding.mend else ""
        made.add_row(
            f"[{colour}]{finding.level.value}[/]", plain(finding.check), plain(finding.message) + mend
        )
    out().print(made)
