"""What an action is: a key, and what it would do to what, told before it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lorayard_cli.top.picture import Picture
from lorayard_cli.top.tenants import TenantClients


class Reason(Enum):
    """Whether somebody has to say why."""

    NEEDED = "needed"
    """The yard keeps it, and tells whoever asks why a job waits."""
    KEPT = "kept"
    """The yard keeps it where there is one."""
    NONE = "none"
    """There is nowhere to keep it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One thing that can be done now, and what will come of it."""

    title: str
    effect: str
    """What will happen, in sentences."""
    command: str
    """The same in a shell."""
    reason: Reason = Reason.NONE
    run: Callable[[str], Awaitable[str]]
    """Given the reason; returns what was done, in a sentence."""


class NothingToDo(Exception):  # noqa: N818  # no error: an answer
    """Why there is nothing that a key could do to what is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a key was pressed on."""

    clients: TenantClients
    picture: Picture
    about: Any
    """What the chosen row is about."""
    shown: tuple[Any, ...] = ()
    """What all rows are about that fit the filter."""
    filter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One key on one tab. An uppercase key stops work, or starts much of it."""

    key: str
    word: str
    sentence: str
    """For the help."""
    plans: Callable[[Situation], Awaitable[list[Plan]]]
    """What could be meant, where it is several things; raises NothingToDo, or what the client raises."""

    @property
    def dangerous(self) -> bool:
        """Whether it stops work, or starts much of it."""
        return self.key.isupper()
