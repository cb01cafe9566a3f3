"""Rules that choose adapters or add to what was chosen, in the bucket `yard_rules`: all as one table.

An unknown field is refused here, in files and on the bus alike: a matcher that nobody looks at would make its
rule fit too much.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, cast

from pydantic import (
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from lorayard_schemas.composition import (
    MAX_PARTS,
    MAX_SVD_RANK,
    USED_BY,
    CompositionPolicy,
    MajoritySign,
    parts_fault,
    setting_fault,
)
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterSpec
from lorayard_schemas.rule_parts import Choice, Conflict, Missing, RulePart

RULES_KEY = "table"
"""Of the bucket: rules are ordered, so they change together."""

MAX_RULES = 1000
MAX_ADDING_RULES = 64
"""Every job is held against all of them, whatever was chosen for it."""

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
    """If everything that is given fits, the job gets the adapter, or the several; one with `add` chooses
    nothing, and is laid on top of what was chosen.

    Exactly one of `adapter`, `adapters` and `add` is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: RuleName
    tenant: Match | None = None
    task: Match | None = None
    session: Match | None = None
    metadata: dict[Word, Match] = Field(default_factory=dict, max_length=64)
    adapter: AdapterSpec | None = None
    """With a version, an alias or neither; `base` for none."""
    adapters: tuple[RulePart, ...] | None = Field(default=None, min_length=1, max_length=MAX_PARTS)
    add: tuple[RulePart, ...] | None = Field(default=None, min_length=1, max_length=MAX_PARTS)
    policy: CompositionPolicy | None = None
    """How they become one; None: as what was chosen does, else `sum`."""
    density: float | None = Field(default=None, allow_inf_nan=False, validate_default=True)
    majority_sign: MajoritySign | None = None
    svd_rank: int | None = Field(default=None, le=MAX_SVD_RANK)
    seed: int | None = Field(default=None, lt=2**63)
    """These four as in a job's composition."""
    on: tuple[Choice, ...] | None = Field(default=None, min_length=1)
    """What is added to; None: `USUAL_CHOICES`."""
    on_missing: Missing | None = None
    """None: `refuse` with `adapters`, `skip` with `add`."""

    @field_validator("density", "majority_sign", "svd_rank", "seed")
    @classmethod
    def _fits_the_policy(
        cls, given: float | MajoritySign | None, info: ValidationInfo
    ) -> float | MajoritySign | None:
        policy = info.data.get("policy", CompositionPolicy.SUM) or CompositionPolicy.SUM
        if "policy" in info.data and (fault := setting_fault(policy, info.field_name or "", given)):
            raise ValueError(fault)
        return given

    @model_validator(mode="after")
    def _one_kind(self) -> RouteRule:
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            had = f"not {' and '.join(given)}" if given else "there is none"
            raise ValueError(f"give exactly one of adapter, adapters and add: {had}")
        for name, kinds in _ONLY_WITH.items():
            if getattr(self, name) is not None and given[0] not in kinds:
                raise ValueError(f"{name} goes with {' or '.join(kinds)}, not with {given[0]}")
        policy = self.policy or CompositionPolicy.SUM
        if self.adapters is not None and (fault := parts_fault(policy, self.specs)):
            raise ValueError(f"adapters: {fault}")
        if self.add is not None and (fault := parts_fault(CompositionPolicy.SUM, self.specs)):
            raise ValueError(f"add: {fault}")
        return self

    @property
    def kind(self) -> str:
        """`adapter`, `adapters` or `add`."""
        return next(name for name in _KINDS if getattr(self, name) is not None)

    @property
    def parts(self) -> tuple[RulePart, ...]:
        """With their weights; none of a rule that names one adapter."""
        return self.adapters or self.add or ()

    @property
    def specs(self) -> tuple[str, ...]:
        """All adapters that it names."""
        return (self.adapter,) if self.adapter is not None else tuple(part.adapter for part in self.parts)

    @property
    def outcome(self) -> str:
        """What it chooses or adds, for people."""
        if self.adapter is not None:
            return self.adapter
        parts = " + ".join(part.label for part in self.parts)
        settings = [f"{name}={getattr(self, name)}" for name in USED_BY if getattr(self, name) is not None]
        how = " ".join((str(self.policy), *settings, "of ")) if self.policy is not None else ""
        return f"{how}{parts}"

    @property
    def chooses(self) -> bool:
        """Whether it decides; else it adds."""
        return self.add is None

    @property
    def missing(self) -> Missing:
        """What becomes of a job that cannot have one of them."""
        return self.on_missing or (Missing.REFUSE if self.chooses else Missing.SKIP)

    @property
    def stage(self) -> Stage:
        """When it is asked."""
        if self.tenant is not None:
            return Stage.TENANT
        if self.task is not None:
            return Stage.TASK
        return Stage.METADATA if self.metadata or self.session is not None else Stage.DEFAULT

    @cached_property
    def label(self) -> str:
        """As results name it: every job that it decides on asks."""
        return f"{self.stage if self.chooses else 'add'}:{self.name}"


_KINDS = ("adapter", "adapters", "add")
_ONLY_WITH = {"policy": ("adapters", "add"), "on": ("add",), "on_missing": ("adapters", "add")}
"""Which of its fields a rule needs one of these for."""


class RouteTable(Message):
    """One revision of all rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: int = Field(default=1, ge=1)
    order: tuple[Stage, ...] = ORDER
    conflict: Conflict | None = None
    """For an adapter that comes twice; None: `first`."""
    rules: tuple[RouteRule, ...] = Field(default=(), max_length=MAX_RULES)
    """Within a stage the first that fits decides; of those that add, each that fits does."""
    restores: int | None = Field(default=None, ge=1)
    """The revision that this one is a return to."""
    by: str = ""
    why: str = ""
    at: float = 0.0
    """Unix seconds."""

    @model_serializer(mode="wrap")
    def _without_the_usual_order(
        self, written: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """On the bus readers fill in theirs: one of a time before `semantic` would refuse the whole table."""
        fields: dict[str, Any] = written(self)
        if info.mode == "python" and self.order == ORDER:
            fields.pop("order", None)
        return fields

    @property
    def settles(self) -> Conflict:
        """What becomes of an adapter that comes twice."""
        return self.conflict or Conflict.FIRST

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
        if sum(not rule.chooses for rule in rules) > MAX_ADDING_RULES:
            raise ValueError(f"more than {MAX_ADDING_RULES} rules add adapters")
        return rules
