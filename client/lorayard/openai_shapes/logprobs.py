"""Log-probabilities as OpenAI's two calls have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorayard_schemas.result import TokenAlternative, TokenLogprob


def chat_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Of a chat's choice."""
    content = [
        {**_told(token), "top_logprobs": [_told(other) for other in token.alternatives]} for token in tokens
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Of a plain completion's choice; the offsets count characters of the answer."""
    offsets: list[int] = []
    at = 0
    for token in tokens:
        offsets.append(at)
        at += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [{other.text: other.logprob for other in token.alternatives} for token in tokens],
        "text_offset": offsets,
    }


def _told(token: TokenAlternative) -> dict[str, Any]:
    whole = "\ufffd" not in token.text  # of half a character nobody has the bytes
    return {
        "token": token.text,
        "logprob": token.logprob,
        "bytes": list(token.text.encode()) if whole else None,
    }
