"""A request as the message that travels: checked field by field before anything is published."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter, is_
from typing import Any

import msgpack
from pydantic import ValidationError

from lorayard.composition import Composition, checked_composition
from lorayard.errors import InvalidRequestError
from lorayard.known_names import check_names
from lorayard.request import GenerateRequest, LaneName, Prompt
from lorayard_schemas.codec import encode_given
from lorayard_schemas.job import ChatTurn, Job, Lane, Sampling
from lorayard_schemas.names import check_adapter_spec
from lorayard_schemas.retry import Retry
from lorayard_schemas.subjects import JobAddress
from lorayard_schemas.trace_context import check_correlation_id, check_traceparent

SAMPLINGS = 256
"""Kept as they travel, since many requests ask with the same; each may hold a JSON schema of 64 KiB."""

_UNSAID = {field.name: field.default for field in fields(GenerateRequest)}
_SAMPLING_NAMES = tuple(name for name in Sampling.model_fields if name in _UNSAID)
_JOB_NAMES = ("template", "session", "task", "run_limit_seconds", "run_limit_hard_seconds")
"""Those that a job takes as they are."""
_TRACED = ("correlation_id", "traceparent")

_TURN = ChatTurn.model_fields.keys()
_ROLES = frozenset({"system", "user", "assistant"})
"""Those that need no look."""

_sampling_values = attrgetter(*_SAMPLING_NAMES)
_UNCOMMON = (*_JOB_NAMES, "metadata", "composition", "retry", "start_within_seconds")
_uncommon = attrgetter(*_UNCOMMON)
_UNCOMMON_UNSAID = tuple(_UNSAID[name] for name in _UNCOMMON)


def job_address(
    *, lane: Lane | LaneName, tenant: str, adapter: str | None, composition: Composition | None = None
) -> JobAddress:
    """Where a request's job goes.

    Raises:
        InvalidRequestError: lane, adapter or composition cannot be one.
    """
    if composition is not None:
        if adapter is not None:
            reason = "the request names an adapter too: send one of the two"
            raise InvalidRequestError(field="composition", reason=reason)
        return JobAddress(lane=_lane(lane), tenant=tenant, adapter=checked_composition(composition).address)
    return JobAddress(lane=_lane(lane), tenant=tenant, adapter=_adapter(adapter))


def build_job(
    request: GenerateRequest,
    *,
    job_id: str,
    now: float,
    digest: str | None = None,
    start: float | None = None,
) -> Job:
    """The request as the message that travels.

    `digest` is that of a request with an idempotency key, `start` when one for later is due.

    Raises:
        InvalidRequestError: naming the first field at fault.
    """
    prompt, messages = _prompt(request.prompt)
    # Only what was given: the yard's defaults are the same, and cost every reader of the job as much again.
    given: dict[str, Any] = {"id": job_id, "created_at": now}
    if digest is not None:
        given["request_digest"] = digest
    given["prompt" if messages is None else "messages"] = prompt if messages is None else messages
    if request.deadline_seconds is not None:
        given["deadline"] = _deadline(request.deadline_seconds, now)
    if request.start_within_seconds is not None:
        given["start_by"] = _until("start_within_seconds", request.start_within_seconds, start or now)
    if request.metadata is not None:
        given["metadata"] = _metadata(request.metadata)
    if request.composition is not None:
        given["composition"] = checked_composition(request.composition)
    if request.retry is not None:
        given["retry"] = _retry(request.retry)
    given |= _given(request, (*_JOB_NAMES, "stream", *_TRACED))
    try:
        if sampling := _given(request, _SAMPLING_NAMES):
            given["sampling"] = _sampling(sampling)
        return Job(**given)
    except ValidationError as error:
        raise _invalid(error) from error


def pack_plain(
    request: GenerateRequest, *, job_id: str, now: float, digest: str | None = None
) -> bytes | None:
    """The bytes of a job with nothing beside its prompt but sampling and a deadline.

    Its model would take four times as long as the rest. None: `build_job` has to see to it, or to say what is
    wrong with it.
    """
    asked = _plain_prompt(request.prompt)
    if asked is None or not all(map(is_, _uncommon(request), _UNCOMMON_UNSAID)):
        return None
    given: dict[str, Any] = {"id": job_id, "created_at": now, **asked}
    if digest is not None:
        given["request_digest"] = digest
    if request.stream is not False:
        if request.stream is not True:
            return None
        given["stream"] = True
    try:
        if request.correlation_id is not None:
            given["correlation_id"] = check_correlation_id(request.correlation_id)
        if request.traceparent is not None:
            given["traceparent"] = check_traceparent(request.traceparent)
        if request.deadline_seconds is not None:
            given["deadline"] = _deadline(request.deadline_seconds, now)
        if sampling := _known_sampling(*_sampling_values(request)):
            given["sampling"] = sampling
        return msgpack.packb(given)
    except (ValueError, TypeError):  # InvalidRequestError, ValidationError and UnicodeEncodeError among them
        return None  # a TypeError: what is no key, as a list


def _plain_prompt(prompt: Prompt) -> dict[str, Any] | None:
    """A text, or turns as JSON has them, that are as they have to be; None: look closer."""
    if type(prompt) is str:
        return None if not prompt or prompt.isspace() else {"prompt": prompt}
    if type(prompt) is not list:
        return None
    turns: list[Any] = prompt  # pyright: ignore[reportUnknownVariableType]
    if not all(map(_is_plain_turn, turns)) or not any(turn["content"].strip() for turn in turns):
        return None
    return {"messages": turns}


def _is_plain_turn(turn: Any) -> bool:
    if type(turn) is not dict:
        return False
    told: dict[Any, Any] = turn  # pyright: ignore[reportUnknownVariableType]
    if told.keys() != _TURN or type(told["role"]) is not str or type(told["content"]) is not str:
        return False
    return told["role"] in _ROLES


@lru_cache(maxsize=SAMPLINGS, typed=True)
def _known_sampling(*values: Any) -> dict[str, Any]:
    """What of these is not as it is when nothing was said, as it travels: many requests ask with the same."""
    said = zip(_SAMPLING_NAMES, values, strict=True)
    given = {name: value for name, value in said if value is not _UNSAID[name]}
    return _sampling(given).model_dump(exclude_none=True, exclude_unset=True) if given else {}


def _given(request: GenerateRequest, names: Iterable[str]) -> dict[str, Any]:
    """What is not as it is when nothing was said."""
    return {name: value for name in names if (value := getattr(request, name)) is not _UNSAID[name]}


def pack_job(job: Job) -> bytes:
    """The job's bytes.

    Raises:
        InvalidRequestError: a text has half of a surrogate pair in it.
    """
    try:
        return encode_given(job)
    except UnicodeEncodeError as error:
        # pydantic refuses it in the other texts, for they have a length to check.
        mappings = "metadata" if job.messages is None else "messages"
        field = "prompt" if error.object == job.prompt else mappings
        raise InvalidRequestError(field=field, reason="it cannot be written as UTF-8") from error


def _lane(lane: Lane | LaneName) -> Lane:
    try:
        return Lane(lane)
    except ValueError as error:
        names = ", ".join(known.value for known in Lane)
        raise InvalidRequestError(field="lane", reason=f"{lane!r} is no lane; use one of {names}") from error


def _adapter(adapter: str | None) -> str | None:
    if adapter is None:
        return None
    if not isinstance(adapter, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise InvalidRequestError(field="adapter", reason=f"a text is needed, got {type(adapter).__name__}")
    try:
        return check_adapter_spec(adapter)
    except ValueError as error:
        raise InvalidRequestError(field="adapter", reason=str(error)) from error


def _prompt(prompt: Prompt) -> tuple[str | None, tuple[ChatTurn, ...] | None]:
    if isinstance(prompt, str):
        if not prompt or prompt.isspace():
            raise InvalidRequestError(field="prompt", reason="the prompt is empty")
        return prompt, None
    if not isinstance(prompt, Sequence) or isinstance(prompt, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        kind = type(prompt).__name__
        raise InvalidRequestError(
            field="prompt", reason=f"a text or a list of messages is needed, got {kind}"
        )
    if not prompt:
        raise InvalidRequestError(field="messages", reason="the list of messages is empty")
    turns = tuple(_turn(index, turn) for index, turn in enumerate(prompt) if not isinstance(turn, str))
    if len(turns) != len(prompt):
        raise InvalidRequestError(field="messages", reason="each needs a role and a content, got a text")
    if all(not turn.content.strip() for turn in turns):
        raise InvalidRequestError(field="messages", reason="no message has any content")
    return None, turns


def _turn(index: int, turn: ChatTurn | Mapping[str, str]) -> ChatTurn:
    if isinstance(turn, Mapping):
        check_names(turn, ChatTurn.model_fields, of=f"messages.{index}")
    try:
        return ChatTurn.model_validate(turn)
    except ValidationError as error:
        raise _invalid(error, prefix=f"messages.{index}") from error


def _sampling(given: dict[str, Any]) -> Sampling:
    if "logit_bias" in given:
        given["logit_bias"] = _bias(given["logit_bias"])
    if "json_schema" in given:
        given["json_schema"] = _schema_text(given["json_schema"])
    if isinstance(stop := given.get("stop"), str):
        given["stop"] = (stop,)
    for name in ("stop", "stop_token_ids"):
        if isinstance(listed := given.get(name), list):
            given[name] = tuple(listed)  # pyright: ignore[reportUnknownArgumentType]  # pydantic judges the rest
    return Sampling(**given)


def _bias(bias: Any) -> dict[str, float]:
    if not isinstance(bias, Mapping):
        raise InvalidRequestError(field="logit_bias", reason="a map of token id to number is needed")
    return {str(token): added for token, added in bias.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _schema_text(schema: str | Mapping[str, Any] | None) -> str | None:
    if schema is None or isinstance(schema, str):
        return schema
    try:
        return json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestError(
            field="json_schema", reason=f"it cannot be written as JSON: {error}"
        ) from error


def _deadline(deadline_seconds: float, now: float) -> float:
    return _until("deadline_seconds", deadline_seconds, now)


def _until(field: str, seconds: object, now: float) -> float:
    if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise InvalidRequestError(field=field, reason="a number above 0 is needed")
    return now + seconds


def _metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise InvalidRequestError(field="metadata", reason="a map of text to text is needed")
    return dict(metadata)


def _retry(retry: Retry | Mapping[str, Any]) -> Retry | dict[str, Any]:
    if isinstance(retry, Retry):
        return retry
    if not isinstance(retry, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
        raise InvalidRequestError(field="retry", reason=f"a Retry or a map is needed, got {retry!r}")
    check_names(retry, Retry.model_fields, of="retry")
    return dict(retry)


def _invalid(error: ValidationError, *, prefix: str = "") -> InvalidRequestError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
    return InvalidRequestError(field=place or "request", reason=first["msg"])
