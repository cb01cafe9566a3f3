"""Which of OpenAI's calls a body is for."""

from __future__ import annotations

from enum import StrEnum


class Endpoint(StrEnum):
    """By its path."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
