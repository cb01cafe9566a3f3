"""Which adapter a job gets: the named one, else its session's, else the default, else the base (B1, B3).

Later rules (tenant, task, metadata, semantic) take their place between these; every answer records the rule
that decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.names import BASE, check_adapter_spec, split_version, version_order


class Rule(StrEnum):
    """What decided on the adapter."""

    EXPLICIT = "explicit"
    SESSION = "session"
    DEFAULT = "default"
    BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The adapter of a job, fixed by digest; None is the base model."""

    record: AdapterRecord | None
    rule: Rule

    @property
    def ref(self) -> AdapterRef | None:
        """As results and assignments name it."""
        if self.record is None:
            return None
        return _ref(self.record.name, self.record.version, self.record.digest)


@lru_cache(maxsize=4096)
def _ref(name: str, version: str, digest: str) -> AdapterRef:
    """Many jobs have the same one."""
    return AdapterRef(name=name, version=version, digest=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a session has; None is the base model."""

    adapter: AdapterRef | None


class UnknownAdapterError(Exception):
    """No such adapter, or no such version of it."""

    def __init__(self, *, spec: str, reason: str) -> None:
        super().__init__(reason)
        self.spec = spec
        self.reason = reason


Versions = Mapping[str, Mapping[str, AdapterRecord]]
"""Adapter name -> version -> record."""


def resolve(
    explicit: str | None, default: str | None, known: Versions, kept: Kept | None = None
) -> Resolution:
    """The adapter of a job; `kept` is what its session has, if it has anything.

    Raises:
        UnknownAdapterError: the one that was named is not registered or not active.
    """
    if explicit is None and kept is not None:
        found = _still_there(kept, known)
        if found is not None:
            return found
    spec, rule = (explicit, Rule.EXPLICIT) if explicit is not None else (default, Rule.DEFAULT)
    if spec is None:
        return Resolution(record=None, rule=Rule.BASE)
    if spec == BASE:
        return Resolution(record=None, rule=rule)
    return Resolution(record=_find(spec, known), rule=rule)


def _still_there(kept: Kept, known: Versions) -> Resolution | None:
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


def _find(spec: str, known: Versions) -> AdapterRecord:
    try:
        name, version = split_version(check_adapter_spec(spec))
    except ValueError as error:
        raise UnknownAdapterError(spec=spec, reason=str(error)) from error
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
