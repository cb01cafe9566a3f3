"""Is there room: of JetStream, of the streams that refuse when they are full, of the disk below."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from lorayard_cli.checks.finding import Finding, fail, ok, warn
from lorayard_shared.bus.connection import Bus, JsonMap

NEARLY_FULL = 0.8
FULL = 0.95

REFUSING: Mapping[str, str] = {
    "jobs": "LORAYARD_JOBS_MAX_BYTES",
    "delayed": "LORAYARD_DELAYED_MAX_BYTES",
    "results": "LORAYARD_RESULTS_MAX_BYTES",
    "payloads": "LORAYARD_PAYLOADS_MAX_BYTES",
    "blobs": "LORAYARD_BLOBS_MAX_BYTES",
    "file_parts": "LORAYARD_FILES_MAX_BYTES",
}
"""Streams and stores that refuse when they are full, and the setting of how full: others drop the oldest."""

STORES = frozenset({"payloads", "blobs", "file_parts"})


def account_room(info: JsonMap) -> Finding:
    """What JetStream's account holds and may hold; `info` is the server's answer to `INFO`."""
    used, reserved = int(info.get("storage", 0)), int(info.get("reserved_storage", 0))
    limits: JsonMap = info.get("limits") or {}
    most = int(limits.get("max_storage", -1))
    told = f"on, {info.get('streams', 0)} streams, {used / 1e6:.1f} MB stored"
    streams = int(limits.get("max_streams", -1))
    if streams > 0 and int(info.get("streams", 0)) >= streams:
        return warn("jetstream", f"{told}; the account may have no more than {streams} streams", "raise that")
    if most <= 0:
        return ok("jetstream", told)
    share = max(used, reserved) / most
    message = f"{told}, {100 * share:.0f} % of the account's {most / 1e6:.0f} MB are taken or reserved"
    if used >= FULL * most:
        return fail("jetstream", message, "raise the account's max_file, or let streams hold less")
    return ok("jetstream", message)


async def check_streams(bus: Bus) -> AsyncIterator[Finding]:
    """How full each is of those that refuse."""
    for kind, setting in REFUSING.items():
        name, used, most = await _filled(bus, kind)
        if most > 0:
            yield stream_room(kind, name, used, most, setting)


async def stream_shares(bus: Bus) -> dict[str, float]:
    """Of each that has a limit: how many percent of it are used.

    Raises:
        ApiError: one is not there.
        nats.errors.Error: no answer.
    """
    found = [await _filled(bus, kind) for kind in REFUSING]
    return {name: 100 * used / most for name, used, most in found if most > 0}


async def _filled(bus: Bus, kind: str) -> tuple[str, int, int]:
    """Its name, the bytes in it, and how many there may be; below 1: any."""
    name = f"OBJ_{bus.subjects.bucket(kind)}" if kind in STORES else bus.subjects.stream(kind)
    info = await bus.api(f"STREAM.INFO.{name}")
    most = int(info["config"].get("max_bytes", -1))
    if kind == "delayed":
        most = bus.settings.delayed_max_bytes  # clients refuse; the stream itself has no limit
    return name, int(info["state"]["bytes"]), most


def stream_room(kind: str, name: str, used: int, most: int, setting: str) -> Finding:
    """How full one is."""
    check, share = f"room for {kind}", used / most
    message = f"{name} holds {used / 1e6:.1f} MB, {100 * share:.0f} % of its limit"
    mend = f"raise {setting}, then lorayard doctor --mend with it set"
    if share >= FULL:
        return fail(check, message, mend)
    return warn(check, message, mend) if share >= NEARLY_FULL else ok(check, message)


async def check_store_disk(bus: Bus, store: Path) -> AsyncIterator[Finding]:
    """Whether the disk below an embedded server's store holds what its streams may grow to."""
    growth = 0
    offset = 0
    while True:
        page = await bus.api("STREAM.LIST", {"offset": offset})
        streams: list[JsonMap] = page.get("streams") or []
        growth += sum(_growth(stream) for stream in streams)
        offset += len(streams)
        if not streams or offset >= int(page.get("total", 0)):
            break
    for finding in judge_disk(growth, shutil.disk_usage(store).free, store):
        yield finding


def _growth(stream: JsonMap) -> int:
    most, used = int(stream["config"].get("max_bytes", -1)), int(stream["state"]["bytes"])
    return max(0, most - used) if most > 0 else 0


def judge_disk(growth_bytes: int, free_bytes: int, store: Path) -> Iterator[Finding]:
    """What may still come, and what there is room for."""
    message = f"{free_bytes / 1e9:.1f} GB free, and streams may grow by {growth_bytes / 1e9:.1f} GB ({store})"
    if free_bytes < growth_bytes:
        yield warn(
            "store disk", message, "make room, or lower the limits: LORAYARD_JOBS_MAX_BYTES and those beside"
        )
    else:
        yield ok("store disk", message)
