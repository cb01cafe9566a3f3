"""Rules that choose an adapter for jobs that name none, in the bucket `yard_rules`: all of them as one table.

An unknown field is refused here, in files and on the bus alike: a matcher that nobody looks at would make its
rule fit too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterSpec

RULES_KEY = "table"
"""Of the bucket: rules are ordered, so they change together."""

MAX_RULES = 1000
MAX_WORDS = 1000
MAX_MATCH_CHARACTERS = 256

Word = Annotated[str, StringConstraints(max_length=MAX_MATCH_CHARACTERS)]
RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]


class Stage(StrEnum):
    """What is asked for an adapter, in the usual order; the first that has one decides."""

    EXPLICIT = "explicit"
    """The job names it."""
    TENANT = "tenant"
    """Rules that look at the tenant, whatever else they look at."""
    TASK = "task"
    """Those of the others that look at the task."""
    METADATA = "metadata"
    """Those of the rest that look at metadata, or at the session's name."""
    SESSION = "session"
    """What the session had."""
    SEMANTIC = "semantic"
    """What the prompt means to the classifier in force, if there is one."""
    DEFAULT = "default"
    """Rules that look at nothing, then the yard's default adapter."""


ORDER = tuple(Stage)


class Match(Part):
    """A look at one text; exactly one of these is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exact: Word | None = None
    prefix: Annotated[Word, StringConstraints(min_length=1)] | None = None
    glob: Annotated[Word, StringConstraints(min_length=1)] | None = None
    """`*`, `?` and `[abc]`, over the whole text; cases differ."""
    one_of: tuple[Word, ...] | None = Field(default=None, min_length=1, max_length=MAX_WORDS)
    """`in` in a file."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"exact": given}
        if isinstance(given, (list, tuple)):
            return {"one_of": cast("Sequence[Any]", given)}
        if isinstance(given, dict) and "in" in given and "one_of" not in given:
            named = cast("dict[str, Any]", given)
            return {("one_of" if key == "in" else key): value for key, value in named.items()}
        return cast("object", given)

    @model_validator(mode="after")
    def _one(self) -> Match:
        if len([name for name in type(self).model_fields if getattr(self, name) is not None]) != 1:
            raise ValueError("give exactly one of exact, prefix, glob and in")
        return self


class RouteRule(Part):
    """If everything that is given fits, the job gets the adapter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: RuleName
    tenant: Match | None = None
    task: Match | None = None
    session: Match | None = None
    metadata: dict[Word, Match] = Field(default_factory=dict, max_length=64)
    adapter: AdapterSpec
    """With a version, an alias or neither; `base` for none."""

    @property
    def stage(self) -> Stage:
        """When it is asked."""
        if self.tenant is not None:
            return Stage.TENANT
        if self.task is not None:
            return Stage.TASK
        return Stage.METADATA if self.metadata or self.session is not None else Stage.DEFAULT

    @property
    def label(self) -> str:
        """As results name it."""
        return f"{self.stage}:{self.name}"


class RouteTable(Message):
    """One revision of all rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: int = Field(default=1, ge=1)
    order: tuple[Stage, ...] = ORDER
    rules: tuple[RouteRule, ...] = Field(default=(), max_length=MAX_RULES)
    """Within a stage the first that fits decides."""
    restores: int | None = Field(default=None, ge=1)
    """The revision that this one is a return to."""
    by: str = ""
    why: str = ""
    at: float = 0.0
    """Unix seconds."""

    @field_validator("order")
    @classmethod
    def _all_once(cls, order: tuple[Stage, ...]) -> tuple[Stage, ...]:
        if Stage.SEMANTIC not in order and Stage.DEFAULT in order:
            at = order.index(Stage.DEFAULT)  # a table of a time before it
            order = (*order[:at], Stage.SEMANTIC, *order[at:])
        if sorted(order) != sorted(ORDER):
            raise ValueError(f"name each of these once: {', '.join(ORDER)}")
        return order

    @field_validator("rules")
    @classmethod
    def _own_names(cls, rules: tuple[RouteRule, ...]) -> tuple[RouteRule, ...]:
        names = [rule.name for rule in rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two rules are called {twice!r}")
        return rules
