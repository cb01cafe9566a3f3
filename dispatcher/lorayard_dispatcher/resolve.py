"""Which adapter a job gets: explicit name, else the yard's default, else the base model (B1).

Later rules (tenant, task, metadata, session, semantic) take their place between these; every answer records
the rule that decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.names import BASE, check_adapter_spec, split_version, version_order


class Rule(StrEnum):
    """What decided on the adapter."""

    EXPLICIT = "explicit"
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
        return AdapterRef(name=self.record.name, version=self.record.version, digest=self.record.digest)


class UnknownAdapterError(Exception):
    """No such adapter, or no such version of it."""

    def __init__(self, *, spec: str, reason: str) -> None:
        super().__init__(reason)
        self.spec = spec
        self.reason = reason


Versions = Mapping[str, Mapping[str, AdapterRecord]]
"""Adapter name -> version -> record."""


def resolve(explicit: str | None, default: str | None, known: Versions) -> Resolution:
    """The adapter of a job.

    Raises:
        UnknownAdapterError: the one that was named is not registered or not active.
    """
    spec, rule = (explicit, Rule.EXPLICIT) if explicit is not None else (default, Rule.DEFAULT)
    if spec is None:
        return Resolution(record=None, rule=Rule.BASE)
    if spec == BASE:
        return Resolution(record=None, rule=rule)
    return Resolution(record=_find(spec, known), rule=rule)


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
