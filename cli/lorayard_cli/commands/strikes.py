"""`lorayard strikes`: jobs of an adapter, a version, a tenant or a pair wait until the strike is lifted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cyclopts import Parameter

from lorayard_cli.connection import client
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What is struck: one of these, or both together."""

    adapter: str | None = None
    """org/model/task, or one version of it; base for the base model."""
    tenant: str | None = None
    """Whose jobs; with an adapter only those that want it."""


NOBODY = What()


async def add(
    *,
    what: What = NOBODY,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Have jobs of an adapter, a version, a tenant or a pair wait. What runs already runs on."""
    async with client(yard, actor=signature.by) as connected:
        report = await connected.strikes.add(adapter=what.adapter, tenant=what.tenant, reason=signature.why)
    if not report.registered:
        note(f"warning: {what.adapter} is not registered; `lorayard adapters ls` shows what is")
    if output.json:
        print_json(report.strike.model_dump(mode="json"))
    else:
        print_text(f"struck: {report.strike.label}")


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List what is struck, by whom, and why."""
    async with client(yard) as connected:
        found = await connected.strikes.list()
    if output.json:
        print_json({"strikes": [one.model_dump(mode="json") for one in found]})
        return
    if not found:
        note("nothing is struck")
        return
    shown = table("struck", "since", "by", "why")
    for one in found:
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        shown.add_row(*map(plain, (one.label, at, one.by, one.why)))
    out().print(shown)


async def lift(
    *,
    what: What = NOBODY,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Let jobs run again, of just what was struck."""
    async with client(yard, actor=signature.by) as connected:
        await connected.strikes.lift(adapter=what.adapter, tenant=what.tenant, reason=signature.why)
    if output.json:
        print_json({"lifted": {"adapter": what.adapter, "tenant": what.tenant}})
    else:
        print_text("lifted")
