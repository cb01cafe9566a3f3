"""`lorayard routes`: rules that choose adapters for jobs that name none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lorayard import Match, RouteRule, RouteTable, Trace
from lorayard.registry.rules import load_rules
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import folded, note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature, print_history


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
    prompt: str | None = None
    """Its prompt: the classifier in force is asked for its meaning."""

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
    load_rules(file, source=str(file), allow_empty=allow_empty)  # what is wrong is told without a yard too
    async with client(yard, actor=signature.by) as connected:
        made = await connected.rules.set(file, check=check, allow_empty=allow_empty, reason=signature.why)
    _show(made, output)


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the rules, in the order in which they are asked."""
    async with client(yard) as connected:
        now = await connected.rules.get()
    if output.json:
        print_json(_document(now))
        return
    shown = table("rule", "if", "adapter")
    for stage in now.order:
        for rule in now.rules:
            if rule.chooses and rule.stage is stage:
                shown.add_row(*map(plain, (rule.label, _conditions(rule), rule.outcome)))
    adding = [rule for rule in now.rules if not rule.chooses]
    for rule in adding:
        shown.add_row(*map(plain, (rule.label, _conditions(rule), f"+ {rule.outcome}")))
    if now.rules:
        out().print(shown)
    for line in foot_lines(now):
        note(line)


def foot_lines(now: RouteTable) -> Iterator[str]:
    """How rules are asked; in 80 columns."""
    if not all(rule.chooses for rule in now.rules):
        last = f"what rules add comes last, all that fit; of an adapter that comes twice: {now.settles}"
        yield from folded(last)
    yield from folded(f"asked in this order: {', '.join(now.order)}; then the base model")


async def history(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show what the rules were, who changed them, and why; the newest last."""
    async with client(yard) as connected:
        past = await connected.rules.history()
    if output.json:
        print_json({"revisions": [_document(one) for one in past]})
        return
    rows = ((one, (", ".join(rule.name for rule in one.rules) or "none",)) for one in past)
    print_history(rows, "rules")


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
    async with client(yard, actor=signature.by) as connected:
        made = await connected.rules.rollback(to=to, reason=signature.why)
    _show(made, output)


async def which(*, request: Request = NOTHING, yard: YardAddress = NEAREST, output: Output = TEXT) -> int:
    """Say which rule decides on a request, and why the others before it do not."""
    async with client(yard, tenant=request.tenant) as connected:
        found = await connected.rules.test(
            adapter=request.adapter,
            task=request.task,
            session=request.session,
            metadata=request.metadata,
            job=request.job,
            prompt=request.prompt,
        )
    if output.json:
        print_json(_trace_document(found))
    else:
        for line in trace_lines(found):
            print_text(line)
    return ExitCode.OK if found.found is not None else ExitCode.UNKNOWN_ADAPTER


def trace_lines(found: Trace) -> Iterator[str]:
    """What was asked, what is added, what came of it, and what it goes without; in 80 columns."""
    for step in found.steps:
        yield from folded(f"{'->' if step.decides else '  '} {step.what}: {step.why}", indent=5)
    for step in found.additions:
        yield from folded(f"{'+ ' if step.decides else '  '} {step.what}: {step.why}", indent=5)
    yield from folded(f"=> {_chosen(found)}", indent=5)
    for told in found.left_out:
        yield from folded(f"   {told.label}", indent=5)


def _chosen(found: Trace) -> str:
    if found.found is None:
        return f"refused: {found.refused}"
    if (made := found.found.composition) is not None:
        aliases = [part.alias for part in made.applied.parts if part.alias is not None]
        led = ", ".join(f"{alias.name} (revision {alias.revision})" for alias in aliases)
        return f"{made.applied.label}{f' through {led}' if led else ''}"
    ref, alias = found.found.ref, found.found.alias
    through = f" through {alias.name} (revision {alias.revision})" if alias is not None else ""
    return f"{'the base model' if ref is None else f'{ref.name}@{ref.version}'}{through}"


def _verdict(found: Trace) -> dict[str, object] | None:
    verdict = found.found.verdict if found.found is not None else None
    return verdict.model_dump(mode="json") if verdict is not None else None


def _trace_document(found: Trace) -> dict[str, object]:
    ref = found.found.ref if found.found is not None else None
    alias = found.found.alias if found.found is not None else None
    made = found.found.composition if found.found is not None else None
    return {
        "rule": found.found.rule if found.found is not None else None,
        "semantic": _verdict(found),
        "adapter": ref.name if ref is not None else None,
        "version": ref.version if ref is not None else None,
        "digest": ref.digest if ref is not None else None,
        "alias": alias.model_dump() if alias is not None else None,
        "composition": made.applied.model_dump(mode="json", exclude_none=True) if made is not None else None,
        "added_by": list(found.added_by),
        "left_out": [one.model_dump() for one in found.left_out],
        "refused": found.refused or None,
        "steps": [{"what": one.what, "decides": one.decides, "why": one.why} for one in found.steps],
        "additions": [{"what": one.what, "adds": one.decides, "why": one.why} for one in found.additions],
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
