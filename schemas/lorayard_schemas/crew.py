"""The workers of one `lorayard up`: more of them, or fewer, while it runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lorayard_schemas.message import Message

MOST_AT_ONCE = 64
"""Workers of one order: each is a process with a model of its own."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class ChangeCrew(Message):
    """Start so many more workers, and stop these; with neither, only who there is."""

    add: int = Field(default=0, ge=0, le=MOST_AT_ONCE)
    remove: tuple[Name, ...] = Field(default=(), max_length=MOST_AT_ONCE)


class CrewReply(Message):
    """What was begun; adverts show when it is done."""

    added: tuple[Name, ...] = ()
    removing: tuple[Name, ...] = ()
    """Each hands back what has not begun, and finishes what runs."""
    workers: tuple[Name, ...] = ()
    """All that stay."""
    refusal: str | None = None
    """Why nothing was changed."""
