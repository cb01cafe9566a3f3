"""A write of a key is done, refused, or said to be neither known (G2)."""

from __future__ import annotations

import nats.js.errors
import pytest

from lorayard_shared.bus.bucket_writes import UnansweredError, put_key, update_key
from lorayard_shared.bus.connection import Bus

pytestmark = pytest.mark.bus

BUCKET = "workers"
KEY = "one"


async def test_who_was_first_is_told_from_nobody_knows__g2(bus: Bus) -> None:
    """A refused copy may be the second of ours: where the first cannot be looked for, nobody knows."""
    last = await put_key(bus, BUCKET, KEY, b"theirs")
    with pytest.raises(nats.js.errors.KeyWrongLastSequenceError):
        await update_key(bus, BUCKET, KEY, b"ours", last=last + 1)
    stream = f"KV_{bus.subjects.bucket(BUCKET)}"
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    await bus.api(f"STREAM.UPDATE.{stream}", {**config, "allow_direct": False})
    with pytest.raises(UnansweredError, match=KEY):
        await update_key(bus, BUCKET, KEY, b"ours", last=last + 1)
