"""Pauses and caps: what starts no jobs for a while, and how many of a thing run at once (E5).

Kept in the bucket `yard_control`, beside strikes. A pause is a strike with an end and of lanes and workers,
too, under a key of its own: who ends a maintenance must not lift what somebody else struck for a fault.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from lorayard_schemas.alias import Text
from lorayard_schemas.job import Lane
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterSpec, Tenant, is_alias, key_token, split_version
from lorayard_schemas.strike import Strike

PAUSES = "pause."
CAPS = "cap."
"""Begin the bucket keys of either."""

MOST_AT_ONCE = 1_000_000
"""No yard runs as many jobs."""

Why = Annotated[Text, StringConstraints(min_length=1)]
Unix = Annotated[float, Field(ge=0.0, le=253_402_300_799.0, allow_inf_nan=False)]
"""Unix seconds, up to the year 9999: what is later is no moment that anybody could be told."""

_ADAPTER: TypeAdapter[str] = TypeAdapter(AdapterSpec)
_TENANT: TypeAdapter[str] = TypeAdapter(Tenant)


class Controlled(StrEnum):
    """The kinds of things that can be paused, drained and capped."""

    LANE = "lane"
    TENANT = "tenant"
    ADAPTER = "adapter"
    """All versions of a name, or `name@version`; `base` is the base model."""
    WORKER = "worker"


class _Thing(Part):
    kind: Controlled
    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    why: Why
    by: Text = ""
    at: Unix = 0.0
    """Unix seconds."""

    @model_validator(mode="after")
    def _sound(self) -> _Thing:
        check_name(self.kind, self.name)
        return self

    @property
    def thing(self) -> str:
        """`kind:name`, as workers count jobs under."""
        return thing_of(self.kind, self.name)

    @property
    def label(self) -> str:
        """What is meant, for people."""
        return label_of(self.kind, self.name)


class Pause(_Thing, Message):
    """Of what nothing starts, until when, by whom, and why. What runs goes on."""

    until: Unix | None = None
    """Unix seconds; None: until it is resumed."""
    drain: bool = False
    """Whether somebody empties it on purpose, before maintenance: only another word for people."""

    @property
    def word(self) -> str:
        """What was done to it."""
        return "drained" if self.drain else "paused"

    def is_over(self, now: float) -> bool:
        """Whether it has ended by itself."""
        return self.until is not None and now >= self.until


class Cap(_Thing, Message):
    """How many jobs of a thing are at workers at once; of a worker, how many it takes."""

    most: int = Field(ge=1, le=MOST_AT_ONCE)


Hold = Strike | Pause
"""What keeps jobs from starting."""


def thing_of(kind: Controlled, name: str) -> str:
    """`kind:name`."""
    return f"{kind.value}:{name}"


def label_of(kind: Controlled, name: str) -> str:
    """A thing, for people."""
    if kind is Controlled.ADAPTER and name == "base":
        return "the base model"
    return f"{kind.value} {name}"


def check_name(kind: Controlled, name: str) -> None:
    """Whether a thing may be called that.

    Raises:
        ValueError: it may not, and why.
    """
    match kind:
        case Controlled.LANE:
            if name not in tuple(Lane):
                raise ValueError(f"there is no lane {name!r}; there are {', '.join(Lane)}")
        case Controlled.TENANT:
            _check(_TENANT, name)
        case Controlled.ADAPTER:
            _check(_ADAPTER, name)
            version = split_version(name)[1]
            if version is not None and is_alias(version):
                raise ValueError(f"{name!r} is an alias: name the version that it leads to")
        case Controlled.WORKER:
            key_token(name)


def _check(names: TypeAdapter[str], name: str) -> None:
    try:
        names.validate_python(name)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def pause_key(kind: Controlled, name: str) -> str:
    """The bucket key of a pause: paused twice, the later word counts."""
    return f"{PAUSES}{kind.value}.n={key_token(name)}"


def cap_key(kind: Controlled, name: str) -> str:
    """The bucket key of a cap."""
    return f"{CAPS}{kind.value}.n={key_token(name)}"


def ends_at(pause: Pause) -> float:
    """When it is over; infinity: only when somebody resumes it."""
    return math.inf if pause.until is None else pause.until


def told(held: Hold | Cap) -> str:
    """Who keeps jobs back and why, for people: behind the word for it."""
    who = f", by {held.by or 'somebody'}: {held.why}"
    if isinstance(held, Cap):
        return f"{held.label} has at most {held.most} jobs at once{who}"
    if isinstance(held, Pause) and held.until is not None:
        at = datetime.fromtimestamp(held.until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{held.label} until {at}{who}"
    return f"{held.label}{who}"
