"""Lines of the output and the error file, as OpenAI's batches have them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from lorayard.batch.line import BadLine, Line
from lorayard.errors import LorayardError
from lorayard.openai_shapes import completion_body, error_of
from lorayard.result import Result


def answer_line(batch: str, line: Line, results: Sequence[Result]) -> bytes:
    """One that has its answers."""
    created = max(result.finished_at for result in results)
    body = completion_body(line.asked, results, created=created)
    response = {"status_code": 200, "request_id": results[0].job_id, "body": body}
    return _packed(batch, line.custom_id, line.number, response, None)


def error_line(batch: str, line: Line, error: LorayardError, job: str | None) -> bytes:
    """One that the yard did not answer."""
    shape = error_of(error)
    response = {"status_code": shape.status, "request_id": job, "body": shape.body()}
    told = {"code": shape.code, "message": shape.message, "param": shape.param, "line": line.number}
    return _packed(batch, line.custom_id, line.number, response, told)


def bad_line(batch: str, bad: BadLine) -> bytes:
    """One that nobody was asked about."""
    told = {"code": bad.code, "message": bad.message, "param": bad.param, "line": bad.number}
    return _packed(batch, bad.custom_id, bad.number, None, told)


def _packed(
    batch: str,
    custom_id: str | None,
    number: int,
    response: dict[str, Any] | None,
    error: dict[str, Any] | None,
) -> bytes:
    told = f"{batch} {number}" if custom_id is None else f"{batch} id {custom_id}"
    name = hashlib.blake2b(told.encode(), digest_size=12).hexdigest()
    document = {"id": f"batch_req_{name}", "custom_id": custom_id, "response": response, "error": error}
    # ASCII: half of a surrogate pair, which a JSON line may hold, has no UTF-8, but an escape.
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
