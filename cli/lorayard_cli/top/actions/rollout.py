"""Promote and roll back: what an alias leads to."""

from __future__ import annotations

from lorayard import AliasRecord
from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Reason, Situation
from lorayard_schemas.snapshot import AdapterRow

PRELOAD_SECONDS = 60.0


def _aliases(at: Situation) -> tuple[AdapterRow, list[str]]:
    """The chosen version, and the aliases of its name, each as requests name it."""
    if not isinstance(at.about, AdapterRow):
        raise NothingToDo("choose an adapter")
    name = at.about.name
    same = (one for one in at.picture.snapshot.adapters if one.name == name)
    words = {alias.rpartition("@")[2] for one in same for alias in one.aliases}
    if not words:
        raise NothingToDo(f"no alias leads to a version of {name}: `lorayard adapters split` makes one")
    return at.about, [f"{name}@{word}" for word in sorted(words)]


async def promote_plans(at: Situation) -> list[Plan]:
    """Give the chosen version all requests of an alias."""
    adapter, aliases = _aliases(at)
    now = {record.spec: record for record in await at.clients.yard.aliases.list()}
    return [_promote(at, alias, adapter.version, now.get(alias)) for alias in aliases]


def _promote(at: Situation, alias: str, version: str, now: AliasRecord | None) -> Plan:
    async def run(reason: str) -> str:
        report = await at.clients.yard.aliases.promote(
            alias, version, preload_seconds=PRELOAD_SECONDS, reason=reason
        )
        told = f"{alias} is {report.record.shares} (revision {report.record.revision}); B rolls it back"
        return "; ".join([told, *report.warnings])

    return Plan(
        title=f"Promote version {version} on {alias}",
        effect=f"{_standing(alias, now)} Then all its requests go to version {version}, which is loaded "
        f"first by the workers that serve it, for {PRELOAD_SECONDS:g} s at most.",
        command=f"lorayard adapters promote {alias} {version}",
        reason=Reason.KEPT,
        run=run,
    )


async def rollback_plans(at: Situation) -> list[Plan]:
    """Return an alias to what it was."""
    _, aliases = _aliases(at)
    plans: list[Plan] = []
    for alias in aliases:
        past = await at.clients.yard.aliases.history(alias)
        plans += [_rollback(at, alias, past[-1], before) for before in _earlier(past)[:1]]
    if not plans:
        raise NothingToDo(f"{', '.join(aliases)}: there is no earlier revision to return to")
    return plans


def _earlier(past: tuple[AliasRecord, ...]) -> list[AliasRecord]:
    """As the yard chooses: before what stands now, and none that the guard has stopped; the newest first."""
    now = past[-1]
    standing = now.restores or now.revision
    fit = [
        record
        for record in past
        if record.revision < standing
        and record.arms
        and not any(record.weight(version) > 0 for version in now.stopped)
    ]
    return sorted(fit, key=lambda record: -record.revision)


def _rollback(at: Situation, alias: str, now: AliasRecord, before: AliasRecord) -> Plan:
    async def run(reason: str) -> str:
        made = await at.clients.yard.aliases.rollback(alias, to=before.revision, reason=reason)
        return f"{alias} is {made.shares} (revision {made.revision})"

    return Plan(
        title=f"Roll {alias} back",
        effect=f"{_standing(alias, now)} It returns to revision {before.revision}, {before.shares}, at once: "
        "what waits follows, what runs is finished.",
        command=f"lorayard adapters rollback {alias} --to {before.revision}",
        reason=Reason.KEPT,
        run=run,
    )


def _standing(alias: str, now: AliasRecord | None) -> str:
    if now is None:
        return f"{alias} is new."
    return f"{alias} is {now.shares} now (revision {now.revision})."


PROMOTE = Action(
    key="M", word="promote", sentence="Give the chosen version all requests of an alias.", plans=promote_plans
)
ROLLBACK = Action(
    key="B",
    word="rollback",
    sentence="Return an alias to its earlier revision, at once.",
    plans=rollback_plans,
)
