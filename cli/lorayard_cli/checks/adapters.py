"""Are adapters sound: in a folder, and what records tell of in the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path

from lorayard import Client
from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.blobs import manifest_name
from lorayard_shared.registry.inventory import object_names

SHOWN = 10

DEPTH = 4
"""`{org}/{model}/{task}/{version}`."""

_FOLDER_MEND = "mend or remove that folder; the others are served all the same"


async def check_folder(root: Path, *, deep: bool) -> AsyncIterator[Finding]:
    """An adapters folder of this machine: configuration and shapes; deep: every value, too."""
    if not await asyncio.to_thread(root.is_dir):
        yield fail("adapters", f"{root} is not a folder", "give the folder that holds org/model/task")
        return
    try:
        broken, good = await asyncio.to_thread(_scan if deep else _glance, root)
    except ModuleNotFoundError as error:
        extra = "worker" if deep else "adapters"
        yield warn("adapters", f"not checked: {error.name} is missing", f"pip install 'lorayard[{extra}]'")
        return
    for path, reason in broken[:SHOWN]:
        yield fail("adapters", f"{path}: {reason}", _FOLDER_MEND)
    if len(broken) > SHOWN:
        yield fail("adapters", f"{len(broken) - SHOWN} more folders below {root} are broken", _FOLDER_MEND)
    if good:
        looked = "whole" if deep else "configuration and shapes; --deep reads the values"
        yield ok("adapters", f"{good} good versions in {root} ({looked})")
    elif not broken:
        yield warn("adapters", f"none in {root}", "lay them out as org/model/task/version")


def _scan(root: Path) -> tuple[list[tuple[Path, str]], int]:
    from lorayard_workers.adapters.catalog import CatalogScanner

    catalog = CatalogScanner(root=root).scan()
    return [(one.path, one.reason) for one in catalog.broken], len(catalog.entries)


def _glance(root: Path) -> tuple[list[tuple[Path, str]], int]:
    """Heads of files alone: a thousand adapters in a second or two."""
    from lorayard_shared.adapters.errors import AdapterRefusedError
    from lorayard_shared.adapters.open_weights import open_weights

    broken: list[tuple[Path, str]] = []
    good = 0
    for folder in _versions(root):
        try:
            if not folder.resolve().is_relative_to(root.resolve()):
                broken.append((folder, f"leads outside the root, to {folder.resolve()}"))
                continue
            with open_weights(folder):
                good += 1
        except AdapterRefusedError as error:
            broken.append((folder, error.reason))
        except (OSError, RuntimeError) as error:  # 3.11 calls links in a circle a RuntimeError
            broken.append((folder, str(error)))
    return broken, good


def _versions(root: Path) -> Iterator[Path]:
    level = [root]
    for _ in range(DEPTH):
        level = [child for folder in level for child in _subfolders(folder)]
    yield from level


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.name.startswith(".")]
    except OSError:
        return []


async def check_registered(bus: Bus, client: Client, *, deep: bool) -> AsyncIterator[Finding]:
    """Versions that were refused or wait, and whether the store has their files; deep: with their bytes."""
    records = await client.adapters()
    for finding in judge_states(records):
        yield finding
    stored = [record for record in records if record.in_store]
    if not stored:
        return
    if deep:
        checks = await client.adapters.verify()
        faults = [
            f"{check.record.label}, {one.file.name}: {one.fault}"
            for check in checks
            for one in check.files
            if one.fault is not None
        ]
    else:
        there = await object_names(bus, "blobs")
        faults = [
            f"{record.label}, {file.name}: the store does not have it"
            for record in stored
            for file in record.files
            if manifest_name(file.sha256) not in there
        ]
    mend = "lorayard adapters verify --repair DIR, with a folder that has its files"
    for fault in faults[:SHOWN]:
        yield fail("stored adapters", fault, mend)
    if len(faults) > SHOWN:
        yield fail("stored adapters", f"{len(faults) - SHOWN} more files are missing or damaged", mend)
    if not faults:
        looked = "digests compared" if deep else "all there; --deep compares their digests"
        yield ok("stored adapters", f"files of {len(stored)} versions: {looked}")


def judge_states(records: Sequence[AdapterRecord]) -> Iterator[Finding]:
    """What was refused, and what waits to be tried or activated."""
    refused = [one for one in records if one.state is AdapterState.REFUSED]
    for record in refused[:SHOWN]:
        reason = record.refusal.reason if record.refusal is not None else "no reason is kept"
        yield warn(
            "refused versions",
            f"{record.label} may not serve: {reason}",
            f"push a better version, then lorayard adapters rm {record.label}",
        )
    if len(refused) > SHOWN:
        yield warn("refused versions", f"{len(refused) - SHOWN} more", "lorayard adapters ls")
    waiting = _labels(records, (AdapterState.PUSHED, AdapterState.VALIDATED))
    if waiting:
        yield ok("waiting versions", f"{', '.join(waiting)} serve nobody before they are activated")


def _labels(records: Iterable[AdapterRecord], states: tuple[AdapterState, ...]) -> list[str]:
    found = [record.label for record in records if record.state in states]
    return found[:SHOWN] + ([f"{len(found) - SHOWN} more"] if len(found) > SHOWN else [])
