"""A job as it was read from its delivery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from lorayard_schemas.composition import Composition
from lorayard_schemas.subjects import JobAddress
from lorayard_schemas.trace_context import UNTRACED
from lorayard_shared.value import value


@value
class TakenJob:
    """One readable delivery; its adapter is not resolved yet."""

    key: str
    lease: str
    subject: str
    address: JobAddress
    job: str
    body: bytes  # empty: a worker has it
    attempt: int
    history: str | None
    deliveries: int
    enqueued_at: float  # unix seconds, by the server
    deadline: float | None
    session: str | None = None
    composition: Composition | None = None
    task: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    bound: str | None = None  # `name@alias=version` of an earlier attempt
    snoozed: str | None = None  # how often and since when it was put off
    request_digest: str | None = None  # for its result
    traced: Mapping[str, str] = field(default_factory=lambda: UNTRACED)  # for what is told of it
    traceparent: str | None = None
    prompt_bytes: int = 0  # roughly: characters, of a conversation the body's bytes
    max_new_tokens: int = 0
    plan: str | None = None  # the schedule that it is an occurrence of

    def drop_message(self) -> None:
        """Its message is elsewhere, and this may be kept for as long as the job runs.

        In place: a copy of each job is a tenth of what a dispatcher does for it.
        """
        object.__setattr__(self, "body", b"")
        object.__setattr__(self, "history", None)
