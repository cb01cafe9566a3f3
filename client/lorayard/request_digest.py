"""What tells two requests under one idempotency key apart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import msgpack

from lorayard.job_message import build_job, pack_job, pack_plain
from lorayard.request import GenerateRequest
from lorayard_schemas.job import Lane, Sampling

_UNSAID = GenerateRequest("")
_SAMPLING_DEFAULTS = Sampling().model_dump(mode="json")


def request_digest(request: GenerateRequest) -> str:
    """128 bits of what is asked, in hex. Lane, deadline, stream and trace do not count: they say when and
    how, not what.

    Raises:
        InvalidRequestError: naming the first field at fault.
    """
    asked = replace(
        request,
        lane=Lane.NORMAL,
        deadline_seconds=None,
        start_within_seconds=None,
        delay_seconds=None,
        at=None,
        stream=False,
        idempotency_key=None,
        correlation_id=None,
        traceparent=None,
    )
    body = pack_plain(asked, job_id="j", now=0.0) or pack_job(build_job(asked, job_id="j", now=0.0))
    told: dict[str, Any] = msgpack.unpackb(body)  # type: ignore[assignment]  # it packs a map
    said = {**told, "adapter": request.adapter}
    if told.get("template") == _UNSAID.template:
        del said["template"]
    if "sampling" in told:
        said["sampling"] = {
            name: _plain_schema(value) if name == "json_schema" else value
            for name, value in told["sampling"].items()
            if value != _SAMPLING_DEFAULTS[name]
        }
    # Sorted, and without what nobody said: another version of the client may pack otherwise.
    plain = json.dumps({name: value for name, value in said.items() if value}, sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()[:32]


def _plain_schema(text: str) -> str:
    """The same text for the same document, however it was spaced. The order of its keys stays: an answer has
    its own in that order."""
    try:
        return json.dumps(json.loads(text))
    except (ValueError, RecursionError):  # no worker will take it either
        return text
