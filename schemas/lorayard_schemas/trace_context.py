"""What a caller knows a job by: his own id for what he does, and the trace that it is a part of.

Both travel with the job and stand in its events, its records, its result, and in the logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Protocol

from pydantic import AfterValidator

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch
_CORRELATION = re.compile(r"[\x21-\x7e]{1,128}").fullmatch


def check_traceparent(text: str) -> str:
    """The text, if it is a header of W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header.

    Raises:
        ValueError: it is none.
    """
    if _TRACEPARENT(text) is None:
        raise ValueError("a W3C traceparent is needed: version-trace-parent-flags, in hex: 00-{32}-{16}-{2}")
    return text


def check_correlation_id(text: str) -> str:
    """The text, if it can stand in a header and on a line of a log.

    Raises:
        ValueError: it cannot.
    """
    if _CORRELATION(text) is None:
        raise ValueError("1 to 128 characters of printable ASCII without spaces are needed")
    return text


Traceparent = Annotated[str, AfterValidator(check_traceparent)]
CorrelationId = Annotated[str, AfterValidator(check_correlation_id)]

UNTRACED: Mapping[str, str] = MappingProxyType({})


class _Traced(Protocol):
    @property
    def correlation_id(self) -> str | None: ...

    @property
    def traceparent(self) -> str | None: ...


def trace_fields(job: _Traced) -> Mapping[str, str]:
    """`correlation_id` and `trace_id`, as far as the job has them, for whatever is told of it."""
    if job.correlation_id is None and job.traceparent is None:
        return UNTRACED
    told: dict[str, str] = {}
    if job.correlation_id is not None:
        told["correlation_id"] = job.correlation_id
    if job.traceparent is not None and (found := _TRACEPARENT(job.traceparent)) is not None:
        told["trace_id"] = found["trace"]
    return told
