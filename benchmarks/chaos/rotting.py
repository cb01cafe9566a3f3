"""Other bytes where an adapter's were: in the yard's store, and where a worker keeps what it fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import nats.errors
import nats.js.errors

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.scanning import walk

LEAST_BYTES: Final = 256
"""Of a file worth it: weights are larger than what describes them."""


def rot_folder(folder: Path) -> None:
    """Turn one byte in the middle of its largest file, unnoticed by size and time."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".filler")]
    for path in sorted(files, key=lambda one: one.stat().st_size)[-1:]:
        data = bytearray(path.read_bytes())
        if data:
            data[len(data) // 2] ^= 0xFF
            path.chmod(0o600)
            path.write_bytes(data)


async def rot_store(bus: Bus) -> None:
    """Put other bytes in place of the newest large chunk, under its own subject."""
    stream = f"OBJ_{bus.subjects.bucket('blobs')}"
    newest: tuple[str, int, bytes] | None = None
    try:
        async for page in walk(bus, stream, f"$O.{bus.subjects.bucket('blobs')}.C.>"):
            for lying in page:
                if len(lying.body) > LEAST_BYTES:
                    newest = (lying.subject, lying.sequence, lying.body)
        if newest is None:
            return
        subject, sequence, body = newest
        turned = bytearray(body)
        turned[len(turned) // 2] ^= 0xFF
        await bus.js.publish(subject, bytes(turned))
        await bus.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})
    except (nats.errors.Error, nats.js.errors.Error, ApiError, TimeoutError):
        return  # the bus is away: it is hit again in a later round
