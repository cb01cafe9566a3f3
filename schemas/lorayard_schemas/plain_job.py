"""The usual job, read without its model, which takes three times as long: a job is read twice on its way.

What is not surely a valid job, field by field, is not judged here but by the model, which says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgpack
from pydantic import TypeAdapter, ValidationError

from lorayard_schemas.codec import decode
from lorayard_schemas.job import ChatTurn, Job, Sampling
from lorayard_schemas.trace_context import check_correlation_id, check_traceparent

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_PLAIN = frozenset(
    {
        "v",
        "id",
        "prompt",
        "messages",
        "sampling",
        "created_at",
        "deadline",
        "template",
        "request_digest",
        "stream",
        "correlation_id",
        "traceparent",
    }
)
_DIGEST = re.compile(r"[0-9a-f]{32}").fullmatch
_TURNS = TypeAdapter(tuple[ChatTurn, ...])
_TEMPLATES = ("adapter", "none")

SAMPLINGS = 1024
"""Programs ask with few: each is judged once."""

SAMPLING_BYTES = 1024
"""A longer one holds a JSON schema or many biases, and is not worth being kept."""


def read_job(body: bytes) -> Job:
    """A job as it came.

    Raises:
        MalformedMessageError: naming the first field at fault.
    """
    return read_plain(body) or decode(Job, body)


def read_plain(body: bytes) -> Job | None:
    """The job, if it is a prompt with nothing uncommon in it; None: the model has to judge it."""
    try:
        unpacked = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException):
        return None
    if type(unpacked) is not dict:
        return None
    told: dict[Any, Any] = unpacked  # pyright: ignore[reportUnknownVariableType]
    if not told.keys() <= _PLAIN or not _is_plain(told):
        return None
    if "messages" in told:
        if (turns := _turns(told["messages"])) is None:
            return None
        told["messages"] = turns
    if "sampling" in told:
        if (sampling := _sampling(told["sampling"])) is None:
            return None
        told["sampling"] = sampling
    return _job(told)


def _is_plain(told: dict[str, Any]) -> bool:
    version, job = told.get("v", 1), told.get("id")
    return (
        type(version) is int
        and version == 1
        and type(job) is str
        and _ID(job) is not None
        and ("prompt" in told) != ("messages" in told)
        and type(told.get("prompt", "")) is str
        and _is_time(told.get("created_at", 0.0))
        and ("deadline" not in told or _is_time(told["deadline"]))
        and told.get("template", "adapter") in _TEMPLATES
        and ("request_digest" not in told or _is_digest(told["request_digest"]))
        and type(told.get("stream", False)) is bool
        and ("correlation_id" not in told or _fits(told["correlation_id"], check_correlation_id))
        and ("traceparent" not in told or _fits(told["traceparent"], check_traceparent))
    )


def _turns(told: object) -> tuple[ChatTurn, ...] | None:
    try:
        return _TURNS.validate_python(told) or None
    except ValidationError:
        return None


def _fits(told: object, check: Callable[[str], str]) -> bool:
    try:
        return type(told) is str and check(told) is told
    except ValueError:
        return False


def _is_digest(told: object) -> bool:
    return type(told) is str and _DIGEST(told) is not None


def _is_time(seconds: object) -> bool:
    """Unix seconds; the model takes whole numbers too, and makes them what they are here."""
    return type(seconds) is float and 0.0 <= seconds < float("inf")


def _sampling(told: object) -> Sampling | None:
    try:
        packed = msgpack.packb(told)
    except ValueError:  # older releases read what is nested more deeply than they write
        return None
    return _known_sampling(packed) if len(packed) <= SAMPLING_BYTES else None


@lru_cache(maxsize=SAMPLINGS)
def _known_sampling(packed: bytes) -> Sampling | None:
    try:
        return Sampling.model_validate(msgpack.unpackb(packed))
    except ValidationError:
        return None


_UNSAID = dict(Job.model_construct(id="").__dict__)
"""Every field as it is when nothing was said; what could be changed is made anew for each job."""


def _job(told: dict[str, Any]) -> Job:
    job = Job.__new__(Job)
    # As pydantic's own `model_construct` ends, without its walk over the fields.
    object.__setattr__(job, "__dict__", {**_UNSAID, "metadata": {}, **told})
    object.__setattr__(job, "__pydantic_fields_set__", set(told))
    object.__setattr__(job, "__pydantic_extra__", None)
    object.__setattr__(job, "__pydantic_private__", None)
    return job
