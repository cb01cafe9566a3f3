"""`lorayard routes`: rules that choose adapters for jobs that name none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import nats.js.errors
from cyclopts import Parameter

from lorayard.settings import client_settings
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature, bus, directory
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.routes import Match, RouteRule, RouteTable
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import Kept, UnknownAdapterError
from lorayard_shared.jobs.tracing import Trace, trace
from lorayard_shared.registry.errors import RuleFileError
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.rule_file import read_rules


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is known of a request."""

    adapter: str | None = None
    """The one it names."""
    tenant: str | None = None
    """Who asks; else LORAYARD_TENANT, else `default`."""
    task: str | None = None
    """Its task."""
    session: str | None = None
    """Its session."""
    meta: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """key=value of its metadata; may be given several times."""
    job: str = "-"
    """Its id: what a split without user and session is drawn by."""

    @property
    def metadata(self) -> dict[str, str]:
        """As a job has it.

        Raises:
            CommandError: one is no pair.
        """
        for text in self.meta:
            if "=" not in text:
                message = f"{text!r}: write key=value"
                raise CommandError(ExitCode.BAD_INPUT, "bad_input", message, field="meta")
        return dict(text.split("=", 1) for text in self.meta)


NOTHING = Request()


async def set_(
    file: Path,
    *,
    check: bool = True,
    allow_empty: Annotated[bool, Parameter(negative="")] = False,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Put the rules of a file into force, all at once; those before are kept in the history.

    Parameters
    ----------
    file
        TOML, as docs/rules.md says.
    check
        Refuse rules whose adapter or alias is not there.
    allow_empty
        Take a file without rules too: none are in force then.
    """
    wanted = _read(file)
    if not wanted.rules and not allow_empty:
        reason = "there is no [[rule]] in it, so that none would be in force; --allow-empty takes it anyway"
        raise RuleFileError(source=str(file), line=None, field="", reason=reason)
    async with bus(yard) as connected:
        if check:
            _check(wanted, await directory(connected), str(file))
        made = await RouteStore(connected).put(wanted, signature.author)
    _show(made, output)


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the rules, in the order in which they are asked."""
    async with bus(yard) as connected:
        past = await RouteStore(connected).past()
    now = past[-1] if past else RouteTable()
    if output.json:
        print_json(_document(now))
        return
    shown = table("rule", "if", "adapter")
    for stage in now.order:
        for rule in now.rules:
            if rule.stage is stage:
                shown.add_row(*map(plain, (rule.label, _conditions(rule), rule.adapter)))
    if now.rules:
        out().print(shown)
    note(f"asked in this order: {', '.join(now.order)}; then the base model")


async def history(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show what the rules were, who changed them, and why; the newest last."""
    async with bus(yard) as connected:
        past = await RouteStore(connected).past()
    if output.json:
        print_json({"revisions": [_document(one) for one in past]})
        return
    shown = table("revision", "at", "rules", "by", "why", right=("revision",))
    for one in past:
        back = f" (as {one.restores})" if one.restores is not None else ""
        at = datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        names = ", ".join(rule.name for rule in one.rules) or "none"
        shown.add_row(*map(plain, (f"{one.revision}{back}", at, names, one.by, one.why)))
    out().print(shown)


async def rollback(
    *,
    to: int | None = None,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Return to an earlier revision of the rules.

    Parameters
    ----------
    to
        The revision; without it the one before.
    """
    async with bus(yard) as connected:
        made = await RouteStore(connected).roll_back(to, signature.author)
    _show(made, output)


async def which(*, request: Request = NOTHING, yard: YardAddress = NEAREST, output: Output = TEXT) -> int:
    """Say which rule decides on a request, and why the others before it do not."""
    tenant = client_settings(yard.settings(), tenant=request.tenant).tenant
    asked = Asked(
        tenant=tenant,
        job=request.job,
        adapter=request.adapter,
        session=request.session,
        task=request.task,
        metadata=request.metadata,
    )
    async with bus(yard) as connected:
        found = trace(await directory(connected), asked, await _kept(connected, tenant, request.session))
    if output.json:
        print_json(_trace_document(found))
    else:
        for step in found.steps:
            print_text(f"{'->' if step.decides else '  '} {step.what}: {step.why}")
        print_text(f"=> {_chosen(found)}")
    return ExitCode.OK if found.found is not None else ExitCode.UNKNOWN_ADAPTER


def _read(file: Path) -> RouteTable:
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise RuleFileError(source=str(file), line=None, field="", reason=reason) from error
    return read_rules(text, str(file))


def _check(wanted: RouteTable, there: Directory, source: str) -> None:
    for rule in wanted.rules:
        try:
            there.check(rule.adapter)
        except UnknownAdapterError as error:
            reason = f"rule {rule.name!r}: {error.reason}; --no-check takes it anyway"
            raise RuleFileError(source=source, line=None, field="adapter", reason=reason) from error


async def _kept(connected: Bus, tenant: str, session: str | None) -> Kept | None:
    if session is None:
        return None
    bucket = await connected.js.key_value(connected.subjects.bucket("sessions"))
    try:
        entry = await bucket.get(session_key(tenant, session))
        record = decode(SessionRecord, entry.value or b"")
    except (nats.js.errors.KeyNotFoundError, MalformedMessageError):
        return None
    return Kept(adapter=record.adapter, alias=record.alias)


def _chosen(found: Trace) -> str:
    if found.found is None:
        return f"refused: {found.refused}"
    ref, alias = found.found.ref, found.found.alias
    through = f" through {alias.name} (revision {alias.revision})" if alias is not None else ""
    return f"{'the base model' if ref is None else f'{ref.name}@{ref.version}'}{through}"


def _trace_document(found: Trace) -> dict[str, object]:
    ref = found.found.ref if found.found is not None else None
    alias = found.found.alias if found.found is not None else None
    return {
        "rule": found.found.rule if found.found is not None else None,
        "adapter": ref.name if ref is not None else None,
        "version": ref.version if ref is not None else None,
        "digest": ref.digest if ref is not None else None,
        "alias": alias.model_dump() if alias is not None else None,
        "refused": found.refused or None,
        "steps": [{"what": one.what, "decides": one.decides, "why": one.why} for one in found.steps],
    }


def _show(made: RouteTable, output: Output) -> None:
    if output.json:
        print_json(_document(made))
    else:
        print_text(f"{len(made.rules)} rules in force (revision {made.revision})")


def _document(one: RouteTable) -> dict[str, object]:
    return one.model_dump(mode="json", exclude_none=True)


def _conditions(rule: RouteRule) -> str:
    named = (("tenant", rule.tenant), ("task", rule.task), ("session", rule.session))
    given = [(name, match) for name, match in named if match is not None]
    given += [(f"metadata.{key}", match) for key, match in rule.metadata.items()]
    return ", ".join(f"{name} {_told(match)}" for name, match in given) or "anything"


def _told(match: Match) -> str:
    if match.exact is not None:
        return f"= {match.exact}"
    if match.prefix is not None:
        return f"= {match.prefix}..."
    return f"like {match.glob}" if match.glob is not None else f"in {', '.join(match.one_of or ())}"
