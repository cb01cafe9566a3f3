"""`lorayard adapters split`, `promote`, `rollback` and what shows them: aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter
from pydantic import ValidationError

from lorayard import AliasRecord, GuardRule, Sticky, SwitchReport
from lorayard_cli.connection import client
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature, print_history

ROLLOUT = Group("Rollout", sort_key=1)


@Parameter(name="*", group=ROLLOUT)
@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How requests are divided; what is left out stays as it was."""

    sticky: Sticky | None = None
    """Whose requests all get the same version; `user` at first: of the job's metadata, else its session."""
    user_field: str | None = None
    """Of the job's metadata, for `--sticky user`; `user` at first."""
    experiment: str | None = None
    """Salt of the draw: another one draws everybody anew."""
    guard: Annotated[bool, Parameter(negative="")] = False
    """Stop a version that has more errors, or slower answers, than the heaviest one of before."""
    alpha: float = 0.01
    """With --guard: the probability that one that is as good is stopped, ever."""
    guard_jobs: int = 20
    """With --guard: answers of a version before it can be stopped."""


@Parameter(name="*", group=ROLLOUT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is done before the switch."""

    preload: bool = True
    """Bring the versions first into the workers that serve the alias now."""
    preload_seconds: float = 60.0
    """Wait so long for that."""

    @property
    def seconds(self) -> float | None:
        """As the client takes it."""
        return self.preload_seconds if self.preload else None


AS_IT_WAS = How()
LOADED = Before()


async def split(
    alias: str,
    *weights: str,
    how: How = AS_IT_WAS,
    before: Before = LOADED,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Give versions their shares of an alias's requests, also of an alias that is new.

    Parameters
    ----------
    alias
        org/model/task@word. `stable` is what the plain name stands for.
    weights
        VERSION=PERCENT for each; together 100.
    """
    shares = _read_shares(weights)
    guard = _read_guard(how) if how.guard else None
    async with client(yard, actor=signature.by) as connected:
        report = await connected.aliases.split(
            alias,
            shares,
            sticky=how.sticky,
            user_field=how.user_field,
            experiment=how.experiment,
            guard=guard,
            preload_seconds=before.seconds,
            reason=signature.why,
        )
    _tell(report, output)


async def promote(
    alias: str,
    version: str | None = None,
    *,
    before: Before = LOADED,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Give one version of an alias all of its requests.

    Parameters
    ----------
    alias
        org/model/task@word.
    version
        Which; without it the one that is tried out beside the control.
    """
    async with client(yard, actor=signature.by) as connected:
        report = await connected.aliases.promote(
            alias, version, preload_seconds=before.seconds, reason=signature.why
        )
    _tell(report, output)


async def rollback(
    alias: str,
    *,
    to: int | None = None,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Return an alias to an earlier revision, at once.

    Parameters
    ----------
    alias
        org/model/task@word.
    to
        The revision; without it the last one before this that its guard has not stopped.
    """
    async with client(yard, actor=signature.by) as connected:
        made = await connected.aliases.rollback(alias, to=to, reason=signature.why)
    _show(made, output)


async def unalias(
    alias: str, *, signature: Signature = UNSIGNED, yard: YardAddress = NEAREST, output: Output = TEXT
) -> None:
    """Take an alias away; its history is kept, and a rollback brings it back.

    Parameters
    ----------
    alias
        org/model/task@word.
    """
    async with client(yard, actor=signature.by) as connected:
        await connected.aliases.unalias(alias, reason=signature.why)
    if output.json:
        print_json({"alias": alias, "arms": []})
    else:
        print_text(f"{alias} is no more")


async def aliases(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the aliases and what they lead to."""
    async with client(yard) as connected:
        found = await connected.aliases.list()
    if output.json:
        print_json({"aliases": [record.model_dump(mode="json") for record in found]})
        return
    if not found:
        note("there is no alias; make one: lorayard adapters split org/model/task@stable VERSION=100")
        return
    shown = table("alias", "revision", "leads to", "sticky by", "guard", "by", "why", right=("revision",))
    for record in found:
        shown.add_row(*map(plain, _row(record)))
    out().print(shown)


async def history(alias: str, *, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show what an alias was, who changed it, and why; the newest last.

    Parameters
    ----------
    alias
        org/model/task@word.
    """
    async with client(yard) as connected:
        past = await connected.aliases.history(alias)
    if not past:
        raise CommandError(
            ExitCode.UNKNOWN_ADAPTER, "unknown_alias", f"there is no alias {alias}", field="alias"
        )
    if output.json:
        print_json({"alias": alias, "revisions": [record.model_dump(mode="json") for record in past]})
        return
    print_history(((record, (record.shares or "nothing",)) for record in past), "leads to")


def _read_guard(how: How) -> GuardRule:
    try:
        return GuardRule(alpha=how.alpha, least_jobs=how.guard_jobs)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = {"alpha": "alpha", "least_jobs": "guard-jobs"}[str(first["loc"][0])]
        raise CommandError(
            ExitCode.BAD_INPUT, "bad_input", f"--{option} {first['input']}: {first['msg']}", field=option
        ) from error


def _read_shares(texts: Sequence[str]) -> dict[str, float]:
    pairs = [_read_share(text) for text in texts]
    shares = dict(pairs)
    if len(shares) < len(pairs):
        raise CommandError(ExitCode.BAD_INPUT, "bad_alias", "a version is named twice", field="weights")
    return shares


def _read_share(text: str) -> tuple[str, float]:
    version, _, percent = text.partition("=")
    try:
        return version, float(percent.removesuffix("%"))
    except ValueError as error:
        raise CommandError(
            ExitCode.BAD_INPUT, "bad_input", f"{text!r}: write VERSION=PERCENT", field="weights"
        ) from error


def _tell(report: SwitchReport, output: Output) -> None:
    for line in report.warnings:
        note(f"warning: {line}")
    _show(report.record, output)


def _show(record: AliasRecord, output: Output) -> None:
    if output.json:
        print_json(record.model_dump(mode="json"))
    else:
        print_text(f"{record.spec} is {record.shares} (revision {record.revision})")


def _row(record: AliasRecord) -> tuple[object, ...]:
    sticky = f"user ({record.user_field})" if record.sticky is Sticky.USER else record.sticky
    guard = "-" if record.guard is None else f"against {record.control}"
    if record.stopped:
        guard += f", stopped {', '.join(record.stopped)}"
    return record.spec, record.revision, record.shares, sticky, guard, record.by, record.why
