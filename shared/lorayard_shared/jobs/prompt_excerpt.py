"""What a job's prompt is judged by: all of a short one, both ends of a long one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import PayloadRef, excerpt
from lorayard_schemas.message import Part
from lorayard_schemas.plain_job import read_plain

USER = "user"


class _Said(Part):
    """What of a job is its text. Whoever took the job has judged the rest, and each turn: to do so again
    would take a tenth of a second for the 50,000 turns that a message has room for."""

    prompt: str | None = None
    messages: list[Any] | None = None
    prompt_ref: PayloadRef | None = None


def prompt_excerpt(body: bytes) -> str:
    """Of a job's message; empty where nothing is known of its text.

    Of a conversation what the user has said, the newest first.
    """
    plain = read_plain(body)
    if plain is not None:
        return excerpt(plain.prompt or "")
    try:
        said = decode(_Said, body)
    except MalformedMessageError:
        return ""
    if said.prompt is not None:
        return excerpt(said.prompt)
    if said.prompt_ref is not None:
        return said.prompt_ref.excerpt
    return excerpt("\n".join(_of_user(said.messages or [])))


def _of_user(turns: list[Any]) -> Iterator[str]:
    for turn in reversed(turns):
        if isinstance(turn, dict) and turn.get("role") == USER:  # pyright: ignore[reportUnknownMemberType]
            content: object = turn.get("content")  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
            if isinstance(content, str):
                yield content
