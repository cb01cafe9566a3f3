"""What commands that change aliases, rules and strikes have in common: who asks, and why; what was before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclopts import Group, Parameter

from lorayard_cli.output import out, plain, table
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.routes import RouteTable
from lorayard_schemas.semantic import SemanticRecord

RECORD = Group("Record", sort_key=50)


@Parameter(name="*", group=RECORD)
@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who changes something, and why."""

    why: str = ""
    """Kept with the change, and in the audit records."""
    by: str | None = None
    """Who you are; else LORAYARD_ACTOR, else user@host."""


UNSIGNED = Signature()


def print_history(
    past: Iterable[tuple[AliasRecord | RouteTable | SemanticRecord, tuple[object, ...]]], *columns: str
) -> None:
    """Revisions, the oldest first, each with what stands in the columns of its own."""
    shown = table("revision", "at", *columns, "by", "why", right=("revision",))
    for one, cells in past:
        back = f" (as {one.restores})" if one.restores is not None else ""
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        shown.add_row(*map(plain, (f"{one.revision}{back}", at, *cells, one.by, one.why)))
    out().print(shown)
