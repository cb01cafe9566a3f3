"""A directory of a few adapters, and rules that name several of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorayard_schemas.adapter import AdapterKind, AdapterRecord, AdapterState
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.codec import encode
from lorayard_schemas.composition import MAX_PARTS
from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import Resolution

BASE_DIGEST = "sha256:" + "0" * 8
SUMS, PIRATE, POLITE, OTHER, DORA, THEIRS = (
    f"acme/tiny/{name}" for name in ("sums", "pirate", "polite", "other", "dora", "theirs")
)


def record(name: str, version: str = "1", **more: object) -> AdapterRecord:
    given = {
        "name": name,
        "version": version,
        "digest": "sha256:" + f"{name}@{version}".encode().hex()[-40:].rjust(40, "0"),
        "base_digest": BASE_DIGEST,
        "rank": 4,
        "alpha": 8.0,
        "targets": ("q_proj",),
        "size_bytes": 1,
        "state": AdapterState.ACTIVE,
        **more,
    }
    return AdapterRecord.model_validate(given)


def directory(*rules: Mapping[str, object], default: str | None = None, **table: object) -> Directory:
    registry = AdapterRegistry()
    known = [record(name, version) for name in (SUMS, PIRATE, POLITE) for version in ("1", "2")]
    known += [record(OTHER, base_digest="sha256:" + "1" * 8), record(DORA, kind=AdapterKind.DORA)]
    known += [record(THEIRS, tenants=("them",))]
    known += [record(f"acme/tiny/n{number}") for number in range(MAX_PARTS)]
    for one in known:
        registry.on_change(one.key, encode(one))
    book = Directory(registry, default)
    given = [{"name": f"r{number}", **rule} for number, rule in enumerate(rules)]
    assert book.rules.on_change(RULES_KEY, encode(RouteTable.model_validate({"rules": given, **table})))
    return book


def alias(book: Directory, name: str, revision: int = 1, **shares: float) -> None:
    arms = tuple(Arm(version=version[1:], weight=weight) for version, weight in shares.items())
    made = AliasRecord(adapter=name, alias="stable", revision=revision, arms=arms)
    book.aliases.on_change(alias_key(name, "stable"), encode(made))


def asked(adapter: str | None = None, **given: object) -> Asked:
    values = {"tenant": "acme", "job": "j", "adapter": adapter, **given}
    return Asked(**values)  # type: ignore[arg-type]  # as the test says


def part(adapter: str, weight: float = 1.0) -> dict[str, Any]:
    return {"adapter": adapter, "weight": weight}


def add(*parts: tuple[str, float], **more: object) -> dict[str, Any]:
    return {"add": [part(*each) for each in parts], **more}


def made(found: Resolution) -> list[tuple[str, str, float]]:
    """Name, version and weight of every part."""
    if found.composition is None:
        return [] if found.record is None else [(found.record.name, found.record.version, 1.0)]
    return [(one.name, one.version, one.weight) for one in found.composition.applied.parts]


def left_out(found: Resolution) -> list[tuple[str, str]]:
    return [] if found.additions is None else [(one.adapter, one.rule) for one in found.additions.left_out]


def added_by(found: Resolution) -> tuple[str, ...]:
    return () if found.additions is None else found.additions.by


STYLE = add((PIRATE, 0.5))
TASK = {"task": "sum", "adapter": SUMS}
