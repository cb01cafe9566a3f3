"""Which adapter a job gets: the named one, else its session's, else the default, else the base (B1, B3).

What names and rules say beside that (`directory`) ends here as well; every answer records what decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.additions import Additions
from lorayard_schemas.alias import AliasRef
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.names import BASE, check_adapter_spec, split_version, version_order
from lorayard_schemas.semantic import SemanticVerdict
from lorayard_schemas.session import SessionRecord
from lorayard_shared.jobs.bound import bindings
from lorayard_shared.jobs.composed import ResolvedComposition
from lorayard_shared.value import value


class Rule(StrEnum):
    """What decided on the adapter, where no rule of an operator did."""

    EXPLICIT = "explicit"
    SESSION = "session"
    SEMANTIC = "semantic"
    DEFAULT = "default"
    BASE = "base"


@value
class Added:
    """What rules did to a choice."""

    additions: Additions
    under: Resolution | None = None
    """What was chosen, before they added to it; None: they added nothing."""


@value
class Resolution:
    """The adapter of a job, fixed by digest; None is the base model."""

    record: AdapterRecord | None
    rule: str
    """A `Rule`, or `kind:name` of an operator's rule."""
    alias: AliasRef | None = None
    """That led to the version, and its revision."""
    composition: ResolvedComposition | None = None
    """Several adapters instead of one."""
    verdict: SemanticVerdict | None = None
    """What the classifier said, where it was asked: also where it abstained and something else decided."""
    added: Added | None = None
    """None: no rule that adds had a say."""

    @property
    def chosen(self) -> Resolution:
        """What was chosen, without what rules added: a session keeps that."""
        under = None if self.added is None else self.added.under
        return self if under is None else under

    @property
    def additions(self) -> Additions | None:
        """As the result tells them."""
        return None if self.added is None else self.added.additions

    @property
    def bound(self) -> dict[str, str]:
        """The versions that aliases led to."""
        made = None if self.composition is None else self.composition.applied
        return bindings(self.ref, self.alias, made)

    @property
    def ref(self) -> AdapterRef | None:
        """As results and assignments name it."""
        if self.record is None:
            return None
        return _ref(self.record.name, self.record.version, self.record.digest)

    @property
    def refs(self) -> tuple[AdapterRef | None, ...]:
        """The adapter, or those that it is composed of."""
        return (self.ref,) if self.composition is None else self.composition.refs

    @property
    def records(self) -> tuple[AdapterRecord, ...]:
        """Of the same; none for the base model."""
        if self.composition is not None:
            return self.composition.records
        return () if self.record is None else (self.record,)

    @property
    def in_slots(self) -> tuple[str, ...]:
        """Digests of what a worker needs in slots for it."""
        if self.composition is not None and self.composition.applied.summed:
            return self.composition.applied.digests
        return () if self.made_of is None else (self.made_of,)

    @property
    def made_of(self) -> str | None:
        """Digest of the adapter or of the composition's recipe; None is the base model."""
        if self.composition is not None:
            return self.composition.applied.digest
        return None if self.record is None else self.record.digest

    @property
    def base_digest(self) -> str | None:
        """Of the base model that it fits; None: any, or nobody has said."""
        if self.composition is not None:
            return self.composition.base_digest
        return None if self.record is None else self.record.base_digest


@lru_cache(maxsize=4096)
def _ref(name: str, version: str, digest: str) -> AdapterRef:
    """Many jobs have the same one."""
    return AdapterRef(name=name, version=version, digest=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a session has; None is the base model."""

    adapter: AdapterRef | None
    alias: str | None = None
    """That led to it: the session stays with the version while the alias gives it anybody."""
    origin: str | None = None
    """What had chosen it; None: nobody has written that down."""


def kept_of(record: SessionRecord) -> Kept | None:
    """What a session has, as its bucket says; None: no turn has brought one adapter."""
    if record.chosen_at is None:
        return None
    return Kept(adapter=record.adapter, alias=record.alias, origin=record.origin)


class UnknownAdapterError(Exception):
    """No such adapter, or no such version of it; `field` is what names it in the job."""

    code = "unknown_adapter"

    def __init__(self, *, spec: str, reason: str, field: str = "adapter", told: str | None = None) -> None:
        """`reason` is for operators; `told` for the job's tenant, None: the same."""
        super().__init__(reason)
        self.spec = spec
        self.reason = reason
        self.field = field
        self.told = reason if told is None else told

    @property
    def is_told(self) -> bool:
        """Whether the tenant may know all of it: it named the adapter itself."""
        return self.told == self.reason

    def named_by(self, what: str) -> UnknownAdapterError:
        """The same, of a name that is not the job's: its tenant is not told it, whoever may use it (D7)."""
        told = f"{what} names an adapter that is not there for this tenant (see `lorayard routes test`)"
        return UnknownAdapterError(spec=self.spec, reason=self.reason, field=self.field, told=told)


class BadCompositionError(UnknownAdapterError):
    """The parts are there and do not go together: there is no such adapter to be made."""

    code = "bad_composition"


Versions = Mapping[str, Mapping[str, AdapterRecord]]
"""Adapter name -> version -> record."""


def resolve(
    explicit: str | None, default: str | None, known: Versions, kept: Kept | None = None
) -> Resolution:
    """The adapter of a job, by names and versions alone; `kept` is what its session has, if anything.

    Raises:
        UnknownAdapterError: the one that was named is not registered or not active.
    """
    if explicit is None and kept is not None:
        found = still_there(kept, known)
        if found is not None:
            return found
    spec, rule = (explicit, Rule.EXPLICIT) if explicit is not None else (default, Rule.DEFAULT)
    if spec is None:
        return Resolution(record=None, rule=Rule.BASE)
    if spec == BASE:
        return Resolution(record=None, rule=rule)
    return Resolution(record=find(spec, known), rule=rule)


def still_there(kept: Kept, known: Versions) -> Resolution | None:
    """The session's very version; where that is gone, the newest; None when nothing is left of it."""
    if kept.adapter is None:
        return Resolution(record=None, rule=Rule.SESSION)
    versions = known.get(kept.adapter.name, {})
    same = versions.get(kept.adapter.version)
    if same is not None and same.digest == kept.adapter.digest and same.state is AdapterState.ACTIVE:
        return Resolution(record=same, rule=Rule.SESSION)
    active = [version for version, record in versions.items() if record.state is AdapterState.ACTIVE]
    if not active:
        return None
    return Resolution(record=versions[max(active, key=version_order)], rule=Rule.SESSION)


def find(spec: str, known: Versions) -> AdapterRecord:
    """The version that a name stands for, by itself the newest.

    Raises:
        UnknownAdapterError: there is none that is active.
    """
    name, version = read_spec(spec)
    active = {v: r for v, r in known.get(name, {}).items() if r.state is AdapterState.ACTIVE}
    if not active:
        raise UnknownAdapterError(
            spec=spec, reason=f"adapter {name!r} is not registered; `lorayard adapters ls` shows which are"
        )
    if version is None:
        return active[max(active, key=version_order)]
    if version not in active:
        have = ", ".join(sorted(active, key=version_order))
        raise UnknownAdapterError(
            spec=spec, reason=f"adapter {name!r} has no version {version!r}, only {have}"
        )
    return active[version]


def read_spec(spec: str) -> tuple[str, str | None]:
    """Name, and version or alias.

    Raises:
        UnknownAdapterError: it is not the name of an adapter.
    """
    try:
        return split_version(check_adapter_spec(spec))
    except ValueError as error:
        raise UnknownAdapterError(spec=spec, reason=str(error)) from error
