"""`lorayard adapters verify`: whether the store still has what was pushed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from lorayard import ClassifierCheck, FileCheck, VersionCheck
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, print_json, print_text
from lorayard_cli.transfer_progress import megabytes, transfer_progress
from lorayard_schemas.adapter import StoredFile
from lorayard_shared.registry.errors import FROM_EXAMPLES


async def verify(
    adapter: str | None = None,
    *,
    repair: Path | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> ExitCode:
    """Read every file from the store and compare it with its record; nothing is changed without --repair.

    Ends with 1 when a file is missing or has other bytes.

    Parameters
    ----------
    adapter
        name@version, or a name for all of its versions; left out: every adapter, and every revision of
        the classifier that is kept.
    repair
        An adapter's folder: what is missing or damaged in the store and lies there with the bytes that the
        record tells of, is put right.
    """
    mended: Sequence[StoredFile] = ()
    judges: Sequence[ClassifierCheck] = ()
    async with client(yard) as connected:
        with transfer_progress("verify") as shown:
            if repair is None:
                checks = await connected.adapters.verify(adapter, on_size=shown.size, on_bytes=shown.moved)
            else:
                report = await connected.adapters.repair(
                    repair, adapter, on_size=shown.size, on_bytes=shown.moved
                )
                checks, mended = list(report.checks), report.mended
            if adapter is None:
                judges = await connected.adapters.verify_classifiers()
    sound = all(check.sound for check in checks) and all(one.sound for one in judges)
    if output.json:
        print_json({"sound": sound, **_all_of(mended, checks, judges)})
    else:
        for file in mended:
            print_text(f"mended: {file.name} ({file.sha256[:12]}), from {repair}")
        if repair is not None and not mended and not sound:
            note(f"nothing in {repair} has the bytes of what is wrong")
        _tell(checks)
        _tell_of_classifiers(judges)
    return ExitCode.OK if sound else ExitCode.FAILED


def _all_of(
    mended: Iterable[StoredFile], checks: Iterable[VersionCheck], judges: Iterable[ClassifierCheck]
) -> dict[str, object]:
    return {
        "mended": [{"name": file.name, "sha256": file.sha256} for file in mended],
        "adapters": [_document(check) for check in checks],
        "classifiers": [
            {"revision": one.record.revision, "sound": one.sound, "files": _files(one.files)}
            for one in judges
        ],
    }


def _document(check: VersionCheck) -> dict[str, object]:
    return {
        "adapter": check.record.label,
        "digest": check.record.digest,
        "in_store": check.record.in_store,
        "sound": check.sound,
        "files": _files(check.files),
    }


def _files(checks: Sequence[FileCheck]) -> list[dict[str, object]]:
    return [
        {
            "name": one.file.name,
            "sha256": one.file.sha256,
            "size_bytes": one.file.size_bytes,
            "fault": one.fault,
        }
        for one in checks
    ]


def _tell(checks: Sequence[VersionCheck]) -> None:
    for check in checks:
        label = check.record.label
        if not check.record.in_store:
            note(f"{label}: nothing of it is in the store; workers have it on their own disks")
        elif check.sound:
            size = megabytes(sum(one.file.size_bytes for one in check.files))
            print_text(f"{label}: sound, {len(check.files)} files, {size} MB")
        for one in check.files:
            if one.fault is not None:
                print_text(f"{label}: {one.file.name}: {one.fault}")
    if not checks:
        note("no adapter is registered")
    if not all(check.sound for check in checks):
        note("`lorayard adapters verify --repair DIR` puts it right from a folder that has the same bytes")


def _tell_of_classifiers(checks: Sequence[ClassifierCheck]) -> None:
    for check in checks:
        label = f"classifier, revision {check.record.revision}"
        if check.sound:
            print_text(f"{label}: sound, {len(check.files)} files")
        for one in check.files:
            if one.fault is not None:
                print_text(f"{label}: {one.file.name}: {one.fault}")
    if not all(check.sound for check in checks):
        note(FROM_EXAMPLES)
