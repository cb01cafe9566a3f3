"""A body, read: what is wrong with it, or what it asks of the yard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from lorayard.composition import Composition
from lorayard.errors import InvalidRequestError
from lorayard.job_message import build_job, job_address
from lorayard.openai_shapes.asked import Asked, Beside
from lorayard.openai_shapes.body import ChatBody, CompletionsBody, ResponseFormat, TextBody
from lorayard.openai_shapes.endpoint import Endpoint
from lorayard.openai_shapes.model_name import Answerer, answerer_of
from lorayard.request import GenerateRequest, LaneName, Prompt
from lorayard_schemas.composition import CompositionPolicy

CHAT_MAX_TOKENS = 256
"""Where a chat says nothing, as in the rest of the yard: a small model may never stop by itself."""
TEXT_MAX_TOKENS = 16
"""OpenAI's own default of the older call."""

SEEDS = 2**63
"""OpenAI takes negative seeds, the yard none: they are counted from the other end."""

ANY_OBJECT = '{"type":"object"}'

_TIER_LANES: Mapping[str, LaneName] = {"flex": "bulk", "priority": "high"}

_UNSUPPORTED = frozenset(
    [
        "audio",
        "echo",
        "function_call",
        "functions",
        "image_url",
        "modalities",
        "moderation",
        "name",
        "parallel_tool_calls",
        "prediction",
        "reasoning_effort",
        "safety_identifier",
        "prompt_cache_key",
        "store",
        "suffix",
        "tool_call_id",
        "tool_calls",
        "tool_choice",
        "tools",
        "verbosity",
        "web_search_options",
        "best_of",
    ]
)
"""Fields that OpenAI has: refused as unsupported, and not as unknown."""

_THEIR_NAMES = {
    "adapter": "model",
    "json_schema": "response_format.json_schema.schema",
    "min_new_tokens": "min_tokens",
    "prompt": "messages",
    "lane": "lorayard.lane",
    "session": "lorayard.session",
    "task": "lorayard.task",
    "deadline_seconds": "lorayard.deadline_seconds",
    "run_limit_seconds": "lorayard.run_limit_seconds",
}
"""Fields of our requests as OpenAI's bodies have them."""


_NOTHING = Beside()


class BodyError(InvalidRequestError):
    """A body asks what cannot be: `field` is OpenAI's `param`, `code` one of its words."""

    def __init__(self, *, field: str, reason: str, code: str = "invalid_value") -> None:
        super().__init__(field=field, reason=reason)
        self.code = code


def read_body(endpoint: Endpoint, body: object, *, lane: LaneName = "normal") -> Asked:
    """What a body asks; `lane` is for those that name none.

    Raises:
        BodyError: it cannot be asked, and which field says so.
    """
    read = _read(endpoint, body)
    asked = _asked(endpoint, read, lane, _NOTHING)
    for request in asked.requests[:: read.n]:  # one of each prompt: the others differ by their seed
        _check(request, read)
    return asked


def read_unjudged(
    endpoint: Endpoint, body: object, *, lane: LaneName = "normal", beside: Beside = _NOTHING
) -> Asked:
    """The same for who submits it at once: the client judges its values then, which costs as much again here.

    What it refuses is named as the body has it by `read_body`.

    Raises:
        BodyError: a field is none, or of another kind.
    """
    return _asked(endpoint, _read(endpoint, body), lane, beside)


def _read(endpoint: Endpoint, body: object) -> ChatBody | TextBody:
    if not isinstance(body, dict):
        raise BodyError(field="body", reason="a JSON object is needed", code="invalid_type")
    try:
        return ChatBody(**body) if endpoint is Endpoint.CHAT else TextBody(**body)  # pyright: ignore[reportUnknownArgumentType]
    except ValidationError as error:
        raise _refused(error) from error
    except TypeError as error:  # a key that is no text cannot come from JSON
        raise BodyError(field="body", reason=str(error)) from error


def _asked(endpoint: Endpoint, read: ChatBody | TextBody, lane: LaneName, beside: Beside) -> Asked:
    prompts = _prompts(read)
    first = _request(read, prompts[0], lane, beside)
    return Asked(
        endpoint=endpoint,
        model=read.model,
        requests=tuple(_spread(first, prompts, read.n)),
        choices_per_prompt=read.n,
        stream=read.stream,
        include_usage=read.stream_options.include_usage,
    )


def _spread(request: GenerateRequest, prompts: Iterable[Prompt], n: int) -> Iterable[GenerateRequest]:
    """`request` is the first; the others differ by prompt and seed."""
    for place, prompt in enumerate(prompts):
        for index in range(n):
            if not place and not index:
                yield request  # the only one, mostly: a copy costs as much as reading the body
                continue
            seed = None if request.seed is None else (request.seed + index) % SEEDS
            yield replace(request, prompt=prompt, seed=seed)


def _prompts(read: ChatBody | TextBody) -> list[Prompt]:
    if isinstance(read, TextBody):
        return list(read.prompt) if isinstance(read.prompt, list) else [read.prompt]
    return [[{"role": _role(turn.role), "content": turn.text} for turn in read.messages]]


def _role(role: str) -> str:
    return "system" if role == "developer" else role  # OpenAI's newer word for it


def _request(read: ChatBody | TextBody, prompt: Prompt, lane: LaneName, beside: Beside) -> GenerateRequest:
    who = _answerer(read)
    options = read.lorayard
    return GenerateRequest(
        prompt,
        adapter=who.adapter,
        composition=who.composition,
        lane=beside.lane or options.lane or _tier_lane(read) or lane,
        max_new_tokens=_max_tokens(read),
        temperature=read.temperature,
        top_p=read.top_p,
        top_k=read.top_k,
        min_p=read.min_p,
        seed=None if read.seed is None else read.seed % SEEDS,
        repetition_penalty=read.repetition_penalty,
        presence_penalty=read.presence_penalty,
        frequency_penalty=read.frequency_penalty,
        logit_bias=read.logit_bias or None,
        stop=tuple(read.stop),
        stop_token_ids=tuple(read.stop_token_ids),
        ignore_eos=read.ignore_eos,
        min_new_tokens=read.min_tokens,
        logprobs=_logprobs(read),
        json_schema=_schema(read.response_format) if isinstance(read, ChatBody) else None,
        deadline_seconds=beside.deadline_seconds or options.deadline_seconds,
        run_limit_seconds=options.run_limit_seconds,
        session=options.session,
        task=options.task,
        metadata=_metadata(read),
        template=options.template,
        stream=read.stream,
        correlation_id=beside.correlation_id,
        traceparent=beside.traceparent,
    )


def _answerer(read: CompletionsBody) -> Answerer:
    options = read.lorayard
    if options.composition is None:
        try:
            return answerer_of(read.model)
        except ValueError as error:
            raise BodyError(field="model", reason=str(error)) from error
    try:
        policy = CompositionPolicy(options.policy)
    except ValueError as error:
        raise BodyError(field="lorayard.policy", reason=f"one of {', '.join(CompositionPolicy)}") from error
    return Answerer(
        composition=Composition(
            options.composition,
            policy=policy,
            density=options.density,
            majority_sign=options.majority_sign,
            svd_rank=options.svd_rank,
        )
    )


def _tier_lane(read: CompletionsBody) -> LaneName | None:
    return _TIER_LANES.get(read.service_tier) if isinstance(read, ChatBody) else None


def _max_tokens(read: ChatBody | TextBody) -> int:
    if isinstance(read, TextBody):
        return TEXT_MAX_TOKENS if read.max_tokens is None else read.max_tokens
    given = read.max_completion_tokens if read.max_tokens is None else read.max_tokens
    return CHAT_MAX_TOKENS if given is None else given


def _logprobs(read: ChatBody | TextBody) -> int | None:
    if isinstance(read, TextBody):
        return read.logprobs
    return (read.top_logprobs or 0) if read.logprobs else None


def _schema(wanted: ResponseFormat) -> str | Mapping[str, Any] | None:
    if wanted.json_schema is not None:
        return wanted.json_schema.schema_
    return ANY_OBJECT if wanted.type == "json_object" else None


def _metadata(read: CompletionsBody) -> dict[str, str] | None:
    kept = dict(read.metadata or {})
    if read.user is not None:
        kept.setdefault("user", read.user)
    return kept or None


def _check(request: GenerateRequest, read: ChatBody | TextBody) -> None:
    """As the client would before it publishes, but named as the body has it."""
    try:
        job_address(lane=request.lane, tenant="t", adapter=request.adapter, composition=request.composition)
        build_job(request, job_id="checked", now=0.0)
    except InvalidRequestError as error:
        raise BodyError(field=_their_name(error.field, read), reason=error.reason) from error


def _their_name(field: str, read: ChatBody | TextBody) -> str:
    if field == "max_new_tokens":
        newer = isinstance(read, ChatBody) and read.max_completion_tokens is not None
        return "max_completion_tokens" if newer else "max_tokens"
    if field == "logprobs" and isinstance(read, ChatBody):
        return "top_logprobs"
    if field == "prompt" and isinstance(read, TextBody):
        return "prompt"
    if field.startswith("composition"):
        return "model" if read.lorayard.composition is None else f"lorayard.{field}"
    return _THEIR_NAMES.get(field, field)


def _refused(error: ValidationError) -> BodyError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in first["loc"] if not _is_branch(step))
    name = place.rsplit(".", 1)[-1]
    if name in _UNSUPPORTED or place in _UNSUPPORTED:
        reason = "not offered here; leave it out"
        return BodyError(field=place, reason=reason, code="unsupported_parameter")
    match first["type"]:
        case "extra_forbidden":
            return BodyError(field=place, reason="no such field", code="unknown_parameter")
        case "missing":
            return BodyError(field=place, reason="needed", code="missing_required_parameter")
        case _:
            return BodyError(field=place or "body", reason=first["msg"].removeprefix("Value error, "))


def _is_branch(step: int | str) -> bool:
    """A step that pydantic adds for the kind of a union: it is no field."""
    return isinstance(step, str) and (step in ("str", "TextPart") or step.startswith("list["))
