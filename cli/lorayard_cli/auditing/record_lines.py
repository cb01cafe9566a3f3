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
            and self.worker in (None, record.get("worker"))
            and self.kind in (None, record["kind"])
            and (self.until is None or not isinstance(at, int | float) or at <= self.until)
            and (self.adapter is None or any(self._is_meant(name) for name in adapters_of(record)))
        )

    def _is_meant(self, name: str) -> bool:
        return self.adapter in (name, split_version(name)[0])


def read_record(lying: Lying) -> JsonMap:
    """A record as a map, with its kind, subject and place; one that cannot be read has `unreadable`."""
    parts = lying.subject.split(".")
    head: JsonMap = {
        "sequence": lying.sequence,
        "subject": lying.subject,
        "kind": parts[2] if parts[2:] else "",
    }
    try:
        body: object = (
            json.loads(lying.body) if lying.body[:1] in (b"{", b" ") else msgpack.unpackb(lying.body)
        )
    except (ValueError, RecursionError, msgpack.UnpackException):
        body = None
    if not isinstance(body, dict):
        return {**head, "unreadable": True}
    return {**{str(key): value for key, value in body.items()}, **head}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


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
    return str(record.get("actor") or record.get("dispatcher") or record.get("worker") or "?")


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
        case AuditKind.REGISTRY:
            change = f"{say('what')}: {say('verb')} {say('key')}"
            after = f" to {say('after')}" if say("after") else ""
            return f"{change}{after}{', because ' + str(say('reason')) if say('reason') else ''}"
        case _:
            return str({key: value for key, value in record.items() if key not in _HEAD})


_HEAD = frozenset({"sequence", "subject", "kind", "at", "v"})
