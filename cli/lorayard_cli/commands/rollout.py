"""`lorayard adapters split`, `promote`, `rollback` and what shows them: aliases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Group, Parameter
from pydantic import ValidationError

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import note, out, plain, print_json, print_text, table
from lorayard_cli.registry_changes import UNSIGNED, Signature, bus, read_alias, registry
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord, GuardRule, Sticky
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.alias_changes import SplitWish, check_targets, to_promote
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.preload import preload

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
    adapter, word = read_alias(alias)
    shares = tuple(_read_share(text) for text in weights)
    guard = _read_guard(how) if how.guard else None
    wish = SplitWish(
        adapter=adapter,
        alias=word,
        weights=shares,
        sticky=how.sticky,
        user_field=how.user_field,
        experiment=how.experiment,
        guard=guard,
    )
    async with bus(yard) as connected:
        versions = (await registry(connected)).known.get(adapter, {})
        wanted = [version for version, weight in shares if weight > 0]
        check_targets(adapter, wanted, versions)
        past = await AliasStore(connected).past(adapter, word)
        await _preload(connected, [versions[version] for version in wanted], past, versions, before)
        made = await AliasStore(connected).split(wish, versions, signature.author)
    _show(made, output)


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
    adapter, word = read_alias(alias)
    async with bus(yard) as connected:
        versions = (await registry(connected)).known.get(adapter, {})
        store = AliasStore(connected)
        past = await store.past(adapter, word)
        # Named from here on: what others make of the alias meanwhile does not change what was loaded.
        chosen = to_promote(past[-1] if past else None, alias, version)
        check_targets(adapter, [chosen], versions)
        await _preload(connected, [versions[chosen]], past, versions, before)
        made = await store.promote(adapter, word, chosen, versions, signature.author)
    _show(made, output)


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
    adapter, word = read_alias(alias)
    async with bus(yard) as connected:
        versions = (await registry(connected)).known.get(adapter, {})
        made = await AliasStore(connected).roll_back(adapter, word, to, versions, signature.author)
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
    adapter, word = read_alias(alias)
    async with bus(yard) as connected:
        await AliasStore(connected).retire(adapter, word, signature.author)
    if output.json:
        print_json({"alias": f"{adapter}@{word}", "arms": []})
    else:
        print_text(f"{adapter}@{word} is no more")


async def aliases(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """List the aliases and what they lead to."""
    async with bus(yard) as connected:
        found = await AliasStore(connected).list()
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
    adapter, word = read_alias(alias)
    async with bus(yard) as connected:
        past = await AliasStore(connected).past(adapter, word)
    if not past:
        raise CommandError(
            ExitCode.UNKNOWN_ADAPTER, "unknown_alias", f"there is no alias {alias}", field="alias"
        )
    if output.json:
        print_json({"alias": alias, "revisions": [record.model_dump(mode="json") for record in past]})
        return
    shown = table("revision", "at", "leads to", "by", "why", right=("revision",))
    for record in past:
        back = f" (as {record.restores})" if record.restores is not None else ""
        at = datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        row = (f"{record.revision}{back}", at, record.shares or "nothing", record.by, record.why)
        shown.add_row(*map(plain, row))
    out().print(shown)


async def _preload(
    connected: Bus,
    wanted: Sequence[AdapterRecord],
    past: Sequence[AliasRecord],
    versions: dict[str, AdapterRecord],
    before: Before,
) -> None:
    """Load before the switch.

    Raises:
        CommandError: no worker has one of them.
    """
    if not before.preload:
        return
    arms = past[-1].arms if past else ()
    serving = {versions[arm.version].digest for arm in arms if arm.weight > 0 and arm.version in versions}
    done = await preload(connected, wanted, serving, before.preload_seconds)
    for line in done.trouble:
        note(f"warning: {line}")
    if missing := done.missing():
        raise CommandError(
            ExitCode.NOT_READY,
            "not_preloaded",
            f"no worker has {', '.join(missing)} at hand, so nothing was switched; "
            "--no-preload switches anyway",
            field="version",
        )


def _read_guard(how: How) -> GuardRule:
    try:
        return GuardRule(alpha=how.alpha, least_jobs=how.guard_jobs)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = {"alpha": "alpha", "least_jobs": "guard-jobs"}[str(first["loc"][0])]
        raise CommandError(
            ExitCode.BAD_INPUT, "bad_input", f"--{option} {first['input']}: {first['msg']}", field=option
        ) from error


def _read_share(text: str) -> tuple[str, float]:
    version, _, percent = text.partition("=")
    try:
        return version, float(percent.removesuffix("%"))
    except ValueError as error:
        raise CommandError(
            ExitCode.BAD_INPUT, "bad_input", f"{text!r}: write VERSION=PERCENT", field="weights"
        ) from error


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
