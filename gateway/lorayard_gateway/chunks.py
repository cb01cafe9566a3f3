"""The pieces of a streamed answer as OpenAI's two calls have them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lorayard import Result
from lorayard.openai_shapes import Asked, Endpoint, choice_of, makers_of, usage_of
from lorayard_gateway.replies import json_text


class Chunks:
    """Makes the chunks of one answer; `job` is the first choice's."""

    def __init__(self, asked: Asked, job: str) -> None:
        self._asked = asked
        self._chat = asked.endpoint is Endpoint.CHAT
        self._created = int(time.time())
        self._id = f"{'chatcmpl' if self._chat else 'cmpl'}-{job}"

    def begin(self, index: int) -> str | None:
        """The role, before any text of a choice; the older call has none."""
        if not self._chat:
            return None
        return self._chunk([self._choice(index, {"role": "assistant", "content": ""})])

    def text(self, index: int, text: str) -> str:
        """More text of a choice."""
        return self._chunk([self._choice(index, {"content": text} if self._chat else {"text": text})])

    def end(self, index: int, result: Result, answers: Sequence[Result] | None) -> str:
        """The end of a choice, with its log-probabilities: they are known only then.

        `answers` are all of them in the order of the choices, where this is the last: it says who answered.
        """
        told = choice_of(self._asked, index, result)
        choice = self._choice(index, {} if self._chat else {"text": ""})
        choice |= {"finish_reason": told["finish_reason"], "logprobs": told["logprobs"]}
        more = {} if answers is None else {"lorayard": makers_of(answers)}
        return self._chunk([choice], **more)

    def usage(self, results: Sequence[Result]) -> str | None:
        """The chunk behind the last, where it was asked for; `results` in the order of the choices."""
        if not self._asked.include_usage:
            return None
        return self._chunk([], usage=usage_of(results, self._asked.choices_per_prompt))

    def _choice(self, index: int, told: dict[str, Any]) -> dict[str, Any]:
        if self._chat:
            return {"index": index, "delta": told, "logprobs": None, "finish_reason": None}
        return {"index": index, **told, "logprobs": None, "finish_reason": None}

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        told: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk" if self._chat else "text_completion",
            "created": self._created,
            "model": self._asked.model,
            "choices": choices,
            **more,
        }
        if self._asked.include_usage:
            told.setdefault("usage", None)
        return json_text(told)
