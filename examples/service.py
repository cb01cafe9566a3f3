"""A web service in front of a yard: `python service.py`, or `uvicorn service:app`.

    curl -d '{"text": "The tide is low."}' localhost:8000/answers
    curl -N 'localhost:8000/stories?of=the+sea'

One client serves all requests: it is opened when the service starts, and closed when it ends.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from lorayard import (
    Client,
    EventKind,
    InvalidRequestError,
    JobError,
    JobHandle,
    JobTimeoutError,
    LimitReachedError,
    LorayardError,
    YardFullError,
)

ANSWER_SECONDS = 30.0
STREAM_SECONDS = 300.0

STATUS: tuple[tuple[type[LorayardError], int], ...] = (
    (InvalidRequestError, 422),  # the caller's fault, and `field` says where
    (LimitReachedError, 429),  # wait, then ask again: Retry-After says when
    (YardFullError, 429),
    (JobTimeoutError, 504),
    (JobError, 502),  # the yard has answered, and it is no answer
    (LorayardError, 503),  # the bus or the yard is away
)


@asynccontextmanager
async def lifespan(service: Starlette) -> AsyncGenerator[None]:
    """The one client."""
    async with Client(name="example-service") as yard:
        service.state.yard = yard
        yield


def yard_of(request: Request) -> Client:
    """The client of the service."""
    return cast(Client, request.app.state.yard)


async def answer(request: Request) -> Response:
    """`{"text": "...", "id": "..."}` -> its answer. A caller who repeats an id gets the same answer."""
    try:
        asked = json.loads(await request.body())
        text, key = asked["text"], asked.get("id")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidRequestError(field="text", reason="a JSON object with a text is needed") from None
    result = await yard_of(request).generate(
        text,
        max_new_tokens=128,
        timeout_seconds=ANSWER_SECONDS,
        deadline_seconds=ANSWER_SECONDS,  # nobody would read what comes later
        idempotency_key=key,
    )
    return JSONResponse({"text": result.text, "job": result.job_id, "adapter": result.adapter})


async def story(request: Request) -> Response:
    """Server-sent events. A browser that comes back after a break goes on where it was."""
    yard = yard_of(request)
    job, _, after = request.headers.get("last-event-id", "").partition(":")
    if job and after.isdecimal():
        return _streamed(yard.handle(job), int(after))
    prompt = f"Tell a story of {request.query_params.get('of', 'the sea')}."
    return _streamed(await yard.submit(prompt, max_new_tokens=512, stream=True), 0)


def _streamed(handle: JobHandle, after: int) -> Response:
    return StreamingResponse(_events(handle, after), media_type="text/event-stream")


async def _events(handle: JobHandle, after: int) -> AsyncGenerator[str]:
    try:
        async for event in handle.events(after=after, timeout_seconds=STREAM_SECONDS):
            told = {"kind": event.kind.value}
            if event.kind is EventKind.TOKENS:
                told["text"] = event.text
            elif event.kind is EventKind.ENDED:
                told["state"] = str(event.state)
            yield f"id: {handle.id}:{event.sequence}\ndata: {json.dumps(told)}\n\n"
    except LorayardError as error:  # the head is out already: the last event has to say it
        yield f"event: error\ndata: {json.dumps({'error': str(error)})}\n\n"


async def trouble(_request: Request, error: Exception) -> Response:
    """Each error as the status that tells a caller what to do."""
    status = next(code for kind, code in STATUS if isinstance(error, kind))
    told = {
        "error": str(error),
        "field": getattr(error, "field", None),
        "job": getattr(error, "job_id", None),
    }
    seconds = getattr(error, "retry_after_seconds", None)
    headers = None if seconds is None else {"Retry-After": str(math.ceil(seconds))}
    return JSONResponse(told, status_code=status, headers=headers)


app = Starlette(
    routes=[Route("/answers", answer, methods=["POST"]), Route("/stories", story)],
    exception_handlers={LorayardError: trouble},
    lifespan=lifespan,
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")), log_level="warning")
