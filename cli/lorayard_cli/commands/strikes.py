"""`lorayard strikes`: jobs of an adapter, a version, a tenant or a pair wait until the strike is lifted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from cyclopts import Parameter
from pydantic import ValidationError

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature, bus, registry
from lorayard_schemas.names import BASE, split_version
from lorayard_schemas.strike import Strike
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.registry.strike_store import StrikeStore


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
    if not signature.why:
        message = "say why with --why: whoever asks why a job waits is told"
        raise CommandError(ExitCode.BAD_INPUT, "bad_input", message, field="why")
    author = signature.author
    try:
        strike = Strike(
            adapter=what.adapter, tenant=what.tenant, why=author.reason, by=author.actor, at=time.time()
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "adapter"
        message = first["msg"].removeprefix("Value error, ")
        raise CommandError(ExitCode.BAD_INPUT, "bad_input", message, field=field) from error
    async with bus(yard) as connected:
        await StrikeStore(connected).add(strike, author)
        named = strike.adapter or BASE
        if named != BASE and not _is_registered(await registry(connected), named):
            note(f"warning: {named} is not registered; `lorayard adapters ls` shows what is")
    if output.json:
        print_json(strike.model_dump(mode="json"))
    else:
        print_text(f"struck: {strike.label}")


def _is_registered(known: AdapterRegistry, adapter: str) -> bool:
    """A strike that hits nothing is more often a typing error than a precaution."""
    name, version = split_version(adapter)
    versions = known.known.get(name, {})
    return bool(versions) if version is None else version in versions


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List what is struck, by whom, and why."""
    async with bus(yard) as connected:
        found = await StrikeStore(connected).list()
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
    async with bus(yard) as connected:
        lifted = await StrikeStore(connected).lift(what.adapter, what.tenant, signature.author)
    if not lifted:
        message = "no such strike; `lorayard strikes ls` shows what is struck"
        raise CommandError(ExitCode.BAD_INPUT, "no_strike", message, field="adapter")
    if output.json:
        print_json({"lifted": {"adapter": what.adapter, "tenant": what.tenant}})
    else:
        print_text("lifted")
