"""Results as OpenAI's response bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorayard.openai_shapes.asked import Asked
from lorayard.openai_shapes.endpoint import Endpoint
from lorayard.openai_shapes.logprobs import chat_logprobs, completion_logprobs
from lorayard.result import Result


def completion_body(asked: Asked, results: Sequence[Result], *, created: float) -> dict[str, Any]:
    """The whole answer: `results` are those of `asked.requests`, and all of them answers.

    `created` is in unix seconds. `lorayard` says who answered, which OpenAI has no place for.
    """
    chat = asked.endpoint is Endpoint.CHAT
    first = results[0]
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{first.job_id}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(created),
        "model": model_label(asked, first),
        "choices": [choice_of(asked, index, result) for index, result in enumerate(results)],
        "usage": usage_of(results, asked.choices_per_prompt),
        "system_fingerprint": first.base_digest,
        "lorayard": makers_of(results),
    }


def model_label(asked: Asked, result: Result) -> str:
    """Who answered, as `model` has it: the version behind an alias, the adapter behind `auto`."""
    if result.adapter is None:
        return asked.model if result.composition is not None else "base"
    return result.adapter if result.version is None else f"{result.adapter}@{result.version}"


def finish_reason(result: Result) -> str:
    """OpenAI knows `stop` and `length`; an answer that its time limit cut is one of the second."""
    return "stop" if result.finish_reason == "stop" else "length"


def usage_of(results: Sequence[Result], choices_per_prompt: int = 1) -> dict[str, Any]:
    """Tokens of all choices; a prompt counts once, however many answers it has."""
    prompts = [result.usage for result in results[::choices_per_prompt]]
    read = sum(usage.prompt_tokens for usage in prompts)
    written = sum(result.usage.completion_tokens for result in results)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in prompts)},
    }


def makers_of(results: Sequence[Result]) -> dict[str, Any]:
    """Who answered each choice."""
    return {"answers": [_maker(result) for result in results]}


def choice_of(asked: Asked, index: int, result: Result) -> dict[str, Any]:
    """One answer."""
    if asked.endpoint is Endpoint.CHAT:
        logprobs = None if result.logprobs is None else chat_logprobs(result.logprobs)
        answer: dict[str, Any] = {
            "message": {"role": "assistant", "content": result.text, "refusal": None},
        }
    else:
        logprobs = None if result.logprobs is None else completion_logprobs(result.logprobs)
        answer = {"text": result.text}
    return {"index": index, **answer, "logprobs": logprobs, "finish_reason": finish_reason(result)}


def _maker(result: Result) -> dict[str, Any]:
    composition = result.composition
    return {
        "job": result.job_id,
        "adapter": result.adapter,
        "version": result.version,
        "digest": result.digest if composition is None else composition.digest,
        "rule": result.rule,
        "alias": None if result.alias is None else result.alias.name,
        "worker": result.worker,
        "tier": result.tier,
        "finish_reason": result.finish_reason,
    }
