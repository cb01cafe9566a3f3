"""A snapshot as one message: what has no room is left out, and counted."""

from __future__ import annotations

import msgpack

from lorayard_schemas.snapshot import YardSnapshot

_LISTS = ("queues", "adapters", "workers")

_HEAD_BYTES = 4096
"""For headers, and for what counts grow by."""


def fitted(snapshot: YardSnapshot, most_bytes: int) -> bytes:
    """As msgpack, fields at their defaults left out; of the longest list the last rows go first."""
    told = snapshot.model_dump(mode="python", exclude_none=True, exclude_defaults=True)
    body = msgpack.packb(told)
    while len(body) > most_bytes - _HEAD_BYTES:
        sizes = {name: len(msgpack.packb(told[name])) for name in _LISTS if told.get(name)}
        if not sizes:
            told.pop("waits", None)
            told.pop("batches", None)
            return bytes(msgpack.packb(told))
        largest = max(sizes, key=lambda name: sizes[name])
        kept = len(told[largest]) // 2
        told[f"{largest}_left_out"] = told.get(f"{largest}_left_out", 0) + len(told[largest]) - kept
        told[largest] = told[largest][:kept]
        body = msgpack.packb(told)
    return bytes(body)
