"""Ids of jobs: unique and sortable by time, or derived from the caller's idempotency key."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time

from lorayard.errors import InvalidRequestError

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RANDOM_BYTES = 10  # with the millisecond in front, 2**80 ids per millisecond: no two clients meet


def random_job_id() -> str:
    """A new id: the millisecond and 80 random bits, as 32 hex digits (the order of a UUIDv7)."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(_RANDOM_BYTES).hex()}"


def keyed_job_id(*, tenant: str, salt: str, key: str) -> str:
    """The same tenant, salt and key give the same id, and nobody without the salt can guess it.

    Raises:
        InvalidRequestError: the key is not a text with something in it.
    """
    if not isinstance(key, str) or not key:  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise InvalidRequestError(field="idempotency_key", reason="must be a text that is not empty")
    # What is no UTF-8 still tells keys apart.
    told = f"{tenant}\0{key}".encode(errors="surrogatepass")
    return hmac.new(salt.encode(), told, hashlib.sha256).hexdigest()


def check_job_id(job_id: str) -> str:
    """The id, if it can be one.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise InvalidRequestError(
            field="job_id", reason=f"{job_id!r} is not a job id: 1 to 64 letters, digits, - or _"
        )
    return job_id
