"""One audit record: what it is about, and how it reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgpack

from lorayard_schemas.audit import AuditKind
from lorayard_schemas.names import split_version
from lorayard_shared.bus.scanning import Lying

JsonMap = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records are meant: those that fit all that is given."""

    job: str | None = None
    adapter: str | None = None
    """A name (any version), or `name@version`."""
    tenant: str | None = None
    worker: str | None = None
    kind: str | None = None
    until: float | None = None
    """Unix seconds."""

    def fits(self, record: JsonMap) -> bool:
        """Whether a record is meant."""
        at = record.get("at")
        return (
            self.job in (None, record.get("job"))
            and self.tenant in (None, record.get("tenant"))
            and self.worker in (None, record.get("worker"), record.get("by"))
            and self.kind in (None, record["kind"])
            and (self.until is None or not isinstance(at, int | float) or at <= self.until)
            and (self.adapter is None or any(self._is_meant(name) for name in adapters_of(record)))
        )

    def _is_meant(self, name: str) -> bool:
        return self.adapter in (name, split_version(name)[0])


def read_records(lying: Lying) -> list[JsonMap]:
    """A record as maps, with kind, subject and place: one for each job where it tells of several. What cannot
    be read has `unreadable`."""
    parts = lying.subject.split(".")
    kind = parts[2] if parts[2:] else ""
    head: JsonMap = {"sequence": lying.sequence, "subject": lying.subject, "kind": kind}
    body = _read(lying.body)
    if body is None:
        return [{**head, "unreadable": True}]
    jobs = body.get("jobs")
    if kind != AuditKind.OUTCOME or not isinstance(jobs, list):
        return [{**body, **head}]
    told = {key: value for key, value in body.items() if key != "jobs"}
    return [{**told, **_named(job), **head} for job in jobs if isinstance(job, dict)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _read(body: bytes) -> JsonMap | None:
    try:
        found: object = json.loads(body) if body[:1] in (b"{", b" ") else msgpack.unpackb(body)
    except (ValueError, RecursionError, msgpack.UnpackException):
        return None
    return _named(found) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownArgumentType]


def _named(found: dict[Any, Any]) -> JsonMap:
    return {str(key): value for key, value in found.items()}


def adapters_of(record: JsonMap) -> list[str]:
    """Names, with versions where there are, of the adapters that a record is about."""
    found = [_label(record.get("adapter")), record.get("for_adapter")]
    composition = record.get("composition")
    if isinstance(composition, dict):
        parts = composition.get("parts", ())  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        found += [_label(part) for part in parts] if isinstance(parts, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    evicted = record.get("evicts")
    found += evicted.split(", ") if isinstance(evicted, str) else []
    if record["kind"] == AuditKind.REGISTRY:
        found.append(record.get("key"))
    return [name for name in found if isinstance(name, str) and name]


def _label(adapter: object) -> str:
    if isinstance(adapter, dict):
        name, version = adapter.get("name", ""), adapter.get("version")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return f"{name}@{version}" if version else str(name)  # pyright: ignore[reportUnknownArgumentType]
    return adapter if isinstance(adapter, str) else ""


def who(record: JsonMap) -> str:
    """Who decided or did it."""
    names = ("actor", "dispatcher", "by", "worker")
    return str(next((found for name in names if (found := record.get(name))), "?"))


def sentence(record: JsonMap) -> str:
    """What happened, in a line."""
    say = record.get
    adapter = _label(say("adapter")) or "the base model"
    if say("unreadable"):
        return "cannot be read"
    match record["kind"]:
        case AuditKind.DECISION:
            return f"job {say('job')} of {say('tenant')} to {say('worker')} with {adapter} ({say('phase')})"
        case AuditKind.RETURN:
            return f"job {say('job')} of {say('tenant')} came back from {say('worker')}: {say('reason')}"
        case AuditKind.DRAIN:
            return f"{say('worker')} gives up {adapter} for {say('for_adapter')}"
        case AuditKind.PREFETCH:
            return f"{say('worker')} fetches {adapter}"
        case AuditKind.PLACEMENT:
            return f"{say('worker')}: {say('order')} {adapter}, because {say('because')}"
        case AuditKind.END:
            return f"{say('worker')} ended itself ({say('end')}): {say('reason')}"
        case AuditKind.OUTCOME:
            made = f" with {adapter}" if say("adapter") else ""
            why = f": {say('code')}" if say("code") else ""
            return f"job {say('job')} of {say('tenant')} {say('state')}{made}, attempt {say('attempt')}{why}"
        case AuditKind.ACT:
            meant = f"job {say('job')}" if say("job") else f"{say('jobs') or 'all'} jobs"
            return f"{say('verb')} {meant} of {say('tenant')}: {say('about')}"
        case AuditKind.REGISTRY:
            change = f"{say('what')}: {say('verb')} {say('key')}"
            after = f" to {say('after')}" if say("after") else ""
            return f"{change}{after}{', because ' + str(say('reason')) if say('reason') else ''}"
        case _:
            return str({key: value for key, value in record.items() if key not in _HEAD})


_HEAD = frozenset({"sequence", "subject", "kind", "at", "v"})
