"""Write a key of a bucket once, though the answer is lost.

Each write has a message id of its own, by which a second copy, sent when the connection broke meanwhile
(`NatsClient.ask_again`), is known: the server keeps one of them, and tells a copy with a condition that
somebody was first (2.15 looks at conditions before ids), which is ourselves where that id is there.
"""

from __future__ import annotations

import secrets
from typing import cast

import nats.errors
import nats.js.errors

from lorayard_schemas import headers
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.result_store import WRONG_LAST_SEQUENCE

WRITE_SECONDS = 10.0
"""A restart takes under one, a new leader in a cluster 5 to 7."""

_CHANGED = frozenset({WRONG_LAST_SEQUENCE, 10164})
"""Somebody else has written the key meanwhile; the second: it is so under any condition."""

_OPERATION = "KV-Operation"
_MARKER = "Nats-Marker-Reason"
"""The server's own mark, of a value that has run out."""


class UnansweredError(nats.errors.TimeoutError):
    """Nobody said whether a write was done."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def __str__(self) -> str:
        return f"nobody said whether {self.key} was written"


async def put_key(bus: Bus, kind: str, key: str, value: bytes) -> int:
    """Write it, whatever is there; returns the revision.

    Raises:
        UnansweredError: it may be written, or not.
        nats.errors.Error: it was not.
    """
    return await _write(bus, kind, key, value, {})


async def update_key(bus: Bus, kind: str, key: str, value: bytes, *, last: int) -> int:
    """The same, if its revision is still `last`; 0: there was none.

    Raises:
        KeyWrongLastSequenceError: it is not.
        UnansweredError, nats.errors.Error: as `put_key`.
    """
    return await _write(bus, kind, key, value, {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(last)})


async def create_key(bus: Bus, kind: str, key: str, value: bytes) -> int:
    """The same, if there is none, or it was taken away.

    Raises:
        KeyWrongLastSequenceError: there is one.
        UnansweredError, nats.errors.Error: as `put_key`.
    """
    try:
        return await update_key(bus, kind, key, value, last=0)
    except nats.js.errors.KeyWrongLastSequenceError:
        if (mark := await _deleted(bus, kind, key)) is None:
            raise
    return await update_key(bus, kind, key, value, last=mark)


async def _deleted(bus: Bus, kind: str, key: str) -> int | None:
    """The revision of the mark that a key was taken away; None: it is there, or never was."""
    bucket = bus.subjects.bucket(kind)
    try:
        last = await bus.js.get_msg(f"KV_{bucket}", subject=f"$KV.{bucket}.{key}", direct=True)
    except nats.js.errors.NotFoundError:
        return None
    found = cast("dict[str, str]", last.headers or {})  # nats-py says no more than that it is a dict
    return last.seq if _OPERATION in found or _MARKER in found else None


async def delete_key(bus: Bus, kind: str, key: str, *, last: int | None = None) -> None:
    """Take it away; with `last` only if that is still its revision.

    Raises:
        KeyWrongLastSequenceError: it is not.
        UnansweredError, nats.errors.Error: as `put_key`.
    """
    condition = {headers.EXPECTED_LAST_SUBJECT_SEQUENCE: str(last)} if last else {}
    await _write(bus, kind, key, b"", {_OPERATION: "DEL", **condition})


async def _write(bus: Bus, kind: str, key: str, value: bytes, head: dict[str, str]) -> int:
    bucket = bus.subjects.bucket(kind)
    subject, name = f"$KV.{bucket}.{key}", secrets.token_hex(16)
    try:
        done = await bus.js.publish(
            subject, value, timeout=WRITE_SECONDS, headers={headers.MSG_ID: name, **head}
        )
    except nats.errors.TimeoutError as error:
        raise UnansweredError(key) from error
    except nats.js.errors.APIError as error:
        if error.err_code not in _CHANGED:
            raise
        try:
            ours = await _written(bus, f"KV_{bucket}", subject, name)
        except nats.errors.Error as unknown:  # the refused copy may be our second one
            raise UnansweredError(key) from unknown
        if ours is not None:
            return ours
        raise nats.js.errors.KeyWrongLastSequenceError(description=error.description) from error
    return done.seq


async def _written(bus: Bus, stream: str, subject: str, name: str) -> int | None:
    """The revision of our own write, if that is what is there."""
    try:
        last = await bus.js.get_msg(stream, subject=subject, direct=True)
    except nats.js.errors.NotFoundError:
        return None
    found = cast("dict[str, str]", last.headers or {})  # nats-py says no more than that it is a dict
    return last.seq if found.get(headers.MSG_ID) == name else None
