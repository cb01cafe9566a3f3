"""OpenAI's request and response bodies in the yard's terms, for batch files and for HTTP alike.

    asked = read_body(Endpoint.CHAT, {"model": "acme/gemma3-270m/summary", "messages": [...]})
    results = [await yard.generate(...) for each of asked.requests]
    completion_body(asked, results, created=time.time())

Pure: nothing here sends anything. What a body asks and the yard cannot give is refused by its field, never
silently left out.
"""

from __future__ import annotations

from lorayard.openai_shapes.asked import MOST_CHOICES, Asked, Beside
from lorayard.openai_shapes.endpoint import Endpoint
from lorayard.openai_shapes.error_shape import ErrorShape, error_of
from lorayard.openai_shapes.logprobs import chat_logprobs, completion_logprobs
from lorayard.openai_shapes.reading import BodyError, read_body, read_unjudged
from lorayard.openai_shapes.response import (
    choice_of,
    completion_body,
    finish_reason,
    makers_of,
    model_label,
    usage_of,
)

__all__ = [
    "MOST_CHOICES",
    "Asked",
    "Beside",
    "BodyError",
    "Endpoint",
    "ErrorShape",
    "chat_logprobs",
    "choice_of",
    "completion_body",
    "completion_logprobs",
    "error_of",
    "finish_reason",
    "makers_of",
    "model_label",
    "read_body",
    "read_unjudged",
    "usage_of",
]
