"""`lorayard doctor`: what is wrong, and what mends it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lorayard import BusUnavailableError
from lorayard_cli.checks.bus import check_bus
from lorayard_cli.checks.finding import Finding, Level, fail, healthy, ok
from lorayard_cli.checks.fleet import check_fleet
from lorayard_cli.checks.machine import check_machine
from lorayard_cli.checks.records import check_records
from lorayard_cli.connection import client
from lorayard_cli.embedded.data_folder import running_yard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress, data_folder, models_folder
from lorayard_cli.output import out, plain, print_json, table
from lorayard_shared.bus.connection import connect

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


async def doctor(
    *,
    mend: Annotated[bool, Parameter(negative="")] = False,
    adapters: Path | None = None,
    model: str | None = None,
    data: Path | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> int:
    """Look at bus, declarations, records, dispatcher, workers, model, adapters and disk; say what mends each.

    Ends with 0 when nothing failed, 3 when there is no bus, 1 when something else failed.

    Parameters
    ----------
    mend
        Create what is missing on the bus, change what differs from its declaration, and replace records that
        no version can have written.
    adapters
        Check this adapters folder; that of the running yard when absent.
    model
        Which base model should be ready; that of the running yard, else gemma3-270m.
    data
        Folder of the embedded yard.
    """
    folder = data_folder(data)
    running = running_yard(folder)
    wanted = model or (running.base_model if running else "gemma3-270m")
    findings = await _check_yard(yard, mending=mend)
    connected = findings[0].level is Level.OK
    served = Path(running.adapters) if running and running.adapters else None
    findings += check_machine(data=folder, models=models_folder(), model=wanted, adapters=adapters or served)
    _print(findings, as_json=output.json)
    if not connected:
        return ExitCode.NO_BUS
    return ExitCode.OK if healthy(findings) else ExitCode.FAILED


async def _check_yard(yard: YardAddress, *, mending: bool) -> list[Finding]:
    settings = yard.settings()
    try:
        bus = await connect(settings, name="cli-doctor")
    except BusUnavailableError as error:
        return [
            fail(
                "bus",
                f"no NATS server answers at {error.url} ({error.reason})",
                "lorayard up, or set LORAYARD_URL to the address of one that runs",
            )
        ]
    findings = [ok("bus", f"answers at {settings.shown_url}")]
    async with bus, client(yard) as connected:
        findings += [finding async for finding in check_bus(bus, mending=mending)]
        if healthy(findings):
            findings += [finding async for finding in check_records(bus, mending=mending)]
            findings += [finding async for finding in check_fleet(bus, connected)]
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
