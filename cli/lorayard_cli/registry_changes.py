"""What commands that change aliases, rules and strikes have in common: who asks, and why."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Group, Parameter

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
