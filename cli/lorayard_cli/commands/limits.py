"""`lorayard limits`: how much a tenant, an adapter or a pair of both may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import cast

from cyclopts import Group, Parameter

from lorayard.registry.limits import LimitOptions
from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature
from lorayard_schemas.limit import LimitsInUse, label_of
from lorayard_shared.registry.limit_store import told

LIMITS = Group("Limits", sort_key=20)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose limits: one of these, or both together."""

    tenant: str | None = None
    """Whose jobs; * stands for every tenant by itself that has no limits of its own."""
    adapter: str | None = None
    """org/model/task, all its versions; base for the base model."""


@Parameter(name="*", group=LIMITS)
@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What is limited; what is not given stays as it was."""

    requests_per_second: float | None = None
    requests_per_minute: float | None = None
    burst: float | None = None
    """Requests at once, after a pause; else those of one second or minute."""
    tokens_per_second: float | None = None
    """Of prompts and answers together."""
    tokens_per_minute: float | None = None
    burst_tokens: float | None = None
    bytes_per_second: float | None = None
    """Of prompts."""
    bytes_per_minute: float | None = None
    burst_bytes: float | None = None
    wait: float | None = None
    """A job over one of these rates waits for so many seconds at most; 0: it is refused at once."""
    requests_per_day: float | None = None
    """A calendar day, UTC; so are months."""
    tokens_per_day: float | None = None
    bytes_per_day: float | None = None
    requests_per_month: float | None = None
    tokens_per_month: float | None = None
    bytes_per_month: float | None = None
    max_pending: float | None = None
    """Jobs accepted and not answered yet."""
    max_pending_tokens: float | None = None
    max_pending_bytes: float | None = None

    def given(self) -> LimitOptions:
        """Those that were."""
        names = {field.name: field.name for field in fields(self)} | {"wait": "wait_seconds"}
        said = {option: getattr(self, name) for name, option in names.items()}
        return cast("LimitOptions", {option: amount for option, amount in said.items() if amount is not None})


ANYBODY = Whose()
NOTHING = Amounts()


async def set_(
    *,
    whose: Whose = ANYBODY,
    amounts: Amounts = NOTHING,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Set limits of a tenant, an adapter, or a tenant's use of an adapter; say --why."""
    async with client(yard, actor=signature.by) as connected:
        change = await connected.limits.set(
            tenant=whose.tenant, adapter=whose.adapter, reason=signature.why, **amounts.given()
        )
    if not change.registered:
        note(f"warning: {whose.adapter} is not registered; `lorayard adapters ls` shows what is")
    if output.json:
        print_json(change.limits.model_dump(mode="json"))
    else:
        print_text(f"{change.limits.label}: {told(change.limits)}")


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the limits, who set them, and why."""
    async with client(yard) as connected:
        found = await connected.limits.list()
    if output.json:
        print_json({"limits": [one.model_dump(mode="json") for one in found]})
        return
    if not found:
        note("nothing is limited")
        return
    shown = table("whose", "limits", "by", "why")
    for one in found:
        shown.add_row(*map(plain, (one.label, told(one), one.by, one.why)))
    out().print(shown)


async def show(*, whose: Whose = ANYBODY, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show what is used of limits now: of all, or of one tenant's or adapter's."""
    async with client(yard) as connected:
        report = await connected.limits.use(tenant=whose.tenant, adapter=whose.adapter)
    if output.json:
        print_json(report.model_dump(mode="json"))
        return
    if not report.limits:
        note(f"{label_of(whose.tenant, whose.adapter)} has no limits" if whose != ANYBODY else "no limits")
        return
    shown = table("whose", "limit", "value", "used", "anew in", "refused", right=("value", "used", "refused"))
    for limits in report.limits:
        for row in _rows(limits):
            shown.add_row(*map(plain, row))
    out().print(shown)


def _rows(limits: LimitsInUse) -> list[tuple[str, ...]]:
    whose = label_of(limits.tenant, limits.adapter)
    if limits.waiting:
        whose += f" ({limits.waiting} waiting)"
    return [
        (
            whose,
            use.name,
            f"{use.value:,.15g}",
            f"{use.used:,.15g}" if use.used == int(use.used) else f"{use.used:,.1f}",
            "" if use.resets_in_seconds is None else f"{use.resets_in_seconds:,.0f} s",
            f"{use.refused:,}",
        )
        for use in limits.uses
    ]


async def rm(
    *names: str,
    whose: Whose = ANYBODY,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Take limits away.

    Parameters
    ----------
    names
        Only these, as `lorayard limits show` calls them; else all of this tenant, adapter or pair.
    """
    async with client(yard, actor=signature.by) as connected:
        left = await connected.limits.remove(
            *names, tenant=whose.tenant, adapter=whose.adapter, reason=signature.why
        )
    if output.json:
        print_json({"left": None if left is None else left.model_dump(mode="json")})
    else:
        print_text("no limits left" if left is None else f"{left.label}: {told(left)}")
