"""`lorayard adapters push` and `pull`: adapters between a folder and the yard's store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from lorayard import PushReport
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, print_json, print_text, short_digest
from lorayard_cli.transfer_progress import megabytes, transfer_progress

PUBLISHING = Group("Publishing", sort_key=1)


@Parameter(name="*", group=PUBLISHING)
@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of a version."""

    label: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """`key=value`; may be given several times."""
    tenant: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Who may use it; may be given several times. Left out: everybody."""
    why: str = ""
    """For the record."""

    def labels(self) -> dict[str, str]:
        """As the client takes them."""
        return read_labels(self.label)


def read_labels(given: Iterable[str]) -> dict[str, str]:
    """Of `key=value` each.

    Raises:
        CommandError: one is not.
    """
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            message = f"--label {text!r}: write it as key=value"
            raise CommandError(ExitCode.USAGE, "usage", message, field="label")
        found[key] = value
    return found


NOTHING_SAID = Said()


async def push(
    folder: Path,
    *,
    name: str,
    version: str,
    said: Said = NOTHING_SAID,
    activate: Annotated[bool, Parameter(negative="")] = False,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Put an adapter's folder into the yard's store, as a new version.

    The folder is checked before a byte is sent, and only what the store lacks is sent. A push that was cut
    goes on where it ended when it is given again.

    Parameters
    ----------
    folder
        As PEFT saves it: adapter_config.json and adapter_model.safetensors; with prompt_template.txt and
        self_check.json where there are any. Nothing else is sent.
    name
        {org}/{model-family}/{task}
    version
        Never changes its bytes once it is pushed.
    activate
        Have a worker try it, then let it serve; ends with 5 and the reason where it is refused.
    """
    async with client(yard) as connected:
        with transfer_progress("push") as shown:
            report = await connected.adapters.push(
                folder,
                name=name,
                version=version,
                on_size=shown.size,
                on_bytes=shown.moved,
                labels=said.labels(),
                tenants=said.tenant,
                reason=said.why,
            )
        if activate:
            if not output.json:
                note(f"{report.record.label} is in the store; a worker tries it")
            record = await connected.adapters.activate(report.record.label, reason=said.why)
            report = replace(report, record=record)
    if output.json:
        print_json(_document(report))
    else:
        _tell(report)


async def pull(adapter: str, folder: Path, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Write a version's files to a new folder, verified; all of them or none.

    Parameters
    ----------
    adapter
        Its name, for the newest version in the store, or name@version.
    folder
        Must not exist, or be empty. A pull that was cut goes on where it ended when it is given again.
    """
    async with client(yard) as connected:
        with transfer_progress("pull") as shown:
            record = await connected.adapters.pull(adapter, folder, on_size=shown.size, on_bytes=shown.moved)
    if output.json:
        print_json({"adapter": record.model_dump(mode="json"), "folder": str(folder)})
    else:
        print_text(f"{record.label} ({short_digest(record.digest)}) is in {folder}")


def _document(report: PushReport) -> dict[str, object]:
    return {
        "adapter": report.record.model_dump(mode="json"),
        "sent_bytes": report.sent_bytes,
        "size_bytes": report.size_bytes,
        "existing": report.existing,
        "ignored": list(report.ignored),
    }


def _tell(report: PushReport) -> None:
    if report.ignored:
        note(f"not sent, as it is no part of an adapter: {', '.join(report.ignored)}")
    record = report.record
    before = " (it was pushed before)" if report.existing else ""
    sent = f"{megabytes(report.sent_bytes)} of {megabytes(report.size_bytes)} MB sent"
    print_text(f"{record.label} is {record.state}{before}: {short_digest(record.digest)}, {sent}")
