"""Everything a record says of a version, as lines of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from lorayard import AdapterRecord
from lorayard_cli.output import folded, short_digest
from lorayard_cli.transfer_progress import megabytes
from lorayard_schemas.adapter import AdapterRecipe
from lorayard_schemas.alias import AliasRecord

_INDENT_COLUMNS = 11


def sheet_lines(record: AdapterRecord, aliases: Sequence[AliasRecord]) -> list[str]:
    """A record, and the aliases that name it."""
    return [line for field, text in _fields(record, aliases) for line in _wrapped(field, text)]


def _wrapped(field: str, text: str) -> list[str]:
    # A digest that is cut in two cannot be copied: such a word stands as it is.
    return folded(f"{field:<10} {text}", indent=_INDENT_COLUMNS)


def _fields(record: AdapterRecord, aliases: Sequence[AliasRecord]) -> Iterator[tuple[str, str]]:
    yield "version", record.label
    yield "state", f"{record.state}{_signed(record.changed_at, record.changed_by, record.change)}"
    if record.refusal is not None:
        module = f" ({record.refusal.module})" if record.refusal.module else ""
        yield "refused", f"by {record.refusal.worker or '-'}: {record.refusal.reason}{module}"
    yield "registered", _signed(record.registered_at, record.registered_by, "").removeprefix(", ") or "-"
    yield "digest", record.digest.removeprefix("sha256:")
    yield "base", short_digest(record.base_digest) if record.base_digest else "no worker has tried it yet"
    yield "kind", f"{record.kind.value}, rank {record.rank}, alpha {record.alpha:g}"
    yield "targets", ", ".join(record.targets)
    yield "labels", ", ".join(f"{key}={value}" for key, value in sorted(record.labels.items())) or "none"
    yield "tenants", ", ".join(record.tenants) or "everybody"
    yield "aliases", ", ".join(f"{one.spec} ({one.weight(record.version):g} %)" for one in aliases) or "none"
    if record.recipe is not None:
        yield from _recipe(record.recipe)
    for file in record.files:
        yield "file", f"{file.name}, {megabytes(file.size_bytes)} MB, {file.sha256[:12]}"
    if not record.in_store:
        yield "file", "none in the store; workers have it on their own disks"


def _recipe(recipe: AdapterRecipe) -> Iterator[tuple[str, str]]:
    settings = recipe.model_dump(include={"density", "majority_sign", "svd_rank", "seed"}, exclude_none=True)
    told = "".join(f", {name} {value}" for name, value in settings.items())
    yield "made by", f"{recipe.policy}{told}"
    for part in recipe.parts:
        yield "made from", f"{part.weight:g} x {part.name}@{part.version} ({short_digest(part.digest)})"
    if recipe.digest is not None:
        yield "recipe", short_digest(recipe.digest)


def _signed(at: float, by: str, why: str) -> str:
    if not at:
        return ""
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f", {moment} by {by or '-'}{f': {why}' if why else ''}"
