"""Write an object of a store once, though an answer is lost: in chunks, then its description.

As every NATS client keeps them, but not by nats-py's `put`: where the answer to the description is late, that
takes the chunks away again, and the description, which the server has, promises what is gone. Here each
message has an id of its own, so that it can be sent again, and what was cut is left: nobody finds it without
a description, and a sweep takes it out, or its age.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from contextlib import suppress

import nats.errors
import nats.js.errors
from nats.js.api import ObjectInfo, ObjectMetaOptions

from lorayard_schemas import headers
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.losses import asked_again

CHUNK_BYTES = 512 * 1024
"""Measured best for put and for get, and half of what a message may hold."""

CHUNK_SECONDS = 15.0
"""For one message: a server that is slow, or comes back."""


async def put_object(bus: Bus, bucket: str, name: str, data: bytes) -> None:
    """Keep an object; one of the same name is replaced.

    Raises:
        nats.errors.Error: the bus did not take it.
    """
    before = await _chunks_of(bus, bucket, name)
    nuid = secrets.token_hex(11)
    pieces = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    for number, piece in enumerate(pieces):
        await _publish(bus, _chunk_subject(bucket, nuid), piece, {headers.MSG_ID: f"{nuid}-{number}"})
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    told = ObjectInfo(
        name=name,
        bucket=bucket,
        nuid=nuid,
        size=len(data),
        chunks=len(pieces),
        digest=f"SHA-256={digest}",
        options=ObjectMetaOptions(max_chunk_size=CHUNK_BYTES),
    )
    await _describe(bus, bucket, told)
    if before is not None:
        with suppress(nats.errors.Error):  # nobody finds them any more
            await _purge(bus, bucket, _chunk_subject(bucket, before))


async def remove_object(bus: Bus, bucket: str, name: str) -> None:
    """Take an object away, if it is there.

    Raises:
        nats.errors.Error: the bus did not do it, or not all of it.
    """
    if (chunks := await _chunks_of(bus, bucket, name)) is None:
        return
    gone = ObjectInfo(name=name, bucket=bucket, nuid=chunks, size=0, chunks=0, digest="", deleted=True)
    await _describe(bus, bucket, gone)
    await _purge(bus, bucket, _chunk_subject(bucket, chunks))


async def erase_object(bus: Bus, bucket: str, name: str) -> None:
    """The same, and no mark stays that it was there: for names that never come again.

    Raises:
        nats.errors.Error: the bus did not do it, or not all of it.
    """
    if (chunks := await _chunks_of(bus, bucket, name)) is None:
        return
    # First what tells of the chunks: alone they are no object, and a sweep finds them.
    await _purge(bus, bucket, description_subject(bucket, name))
    await _purge(bus, bucket, _chunk_subject(bucket, chunks))


async def _describe(bus: Bus, bucket: str, told: ObjectInfo) -> None:
    head = {headers.MSG_ID: secrets.token_hex(16), "Nats-Rollup": "sub"}
    subject = description_subject(bucket, told.name)
    await _publish(bus, subject, json.dumps(told.as_dict()).encode(), head)


async def _purge(bus: Bus, bucket: str, subject: str) -> None:
    wanted = {"filter": subject}
    try:
        await asked_again(bus, lambda: bus.api(f"STREAM.PURGE.OBJ_{bucket}", wanted))
    except ApiError as error:
        raise nats.js.errors.APIError(err_code=error.code, description=error.description) from error


def description_subject(bucket: str, name: str) -> str:
    """Where an object's description lies."""
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def _chunk_subject(bucket: str, nuid: str) -> str:
    return f"$O.{bucket}.C.{nuid}"


async def _chunks_of(bus: Bus, bucket: str, name: str) -> str | None:
    """What the chunks of an object of that name are called now."""
    try:
        found = await bus.js.get_msg(f"OBJ_{bucket}", subject=description_subject(bucket, name), direct=True)
        told = json.loads(found.data or b"")
        return None if told.get("deleted") else str(told["nuid"])
    except nats.js.errors.NotFoundError:
        return None
    except nats.errors.NoRespondersError as error:
        raise nats.js.errors.BucketNotFoundError from error
    except (ValueError, KeyError, AttributeError):
        return None  # not of ours


async def _publish(bus: Bus, subject: str, body: bytes, head: dict[str, str]) -> None:
    await bus.js.publish(subject, body, timeout=CHUNK_SECONDS, headers=dict(head))
