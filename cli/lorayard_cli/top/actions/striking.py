"""Strike and lift: adapters, versions and tenants whose jobs wait for a fault to be mended."""

from __future__ import annotations

from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Reason, Situation
from lorayard_cli.top.actions.holding import things_of
from lorayard_schemas.control import Controlled
from lorayard_schemas.snapshot import QueueRow
from lorayard_schemas.strike import Strike

Pair = tuple[str | None, str | None]
"""Adapter, tenant."""


def _pairs(about: object) -> list[Pair]:
    if isinstance(about, Strike):
        return [(about.adapter, about.tenant)]
    pairs: list[Pair] = []
    for kind, name in things_of(about):
        if kind is Controlled.ADAPTER:
            pairs.append((name, None))
        elif kind is Controlled.TENANT:
            pairs.append((None, name))
    if isinstance(about, QueueRow) and len(pairs) > 1:
        pairs.insert(0, (pairs[-1][0], about.tenant))  # both together: that queue alone
    return pairs


def _options(pair: Pair) -> str:
    adapter, tenant = pair
    parts = [f"--adapter {adapter}" if adapter else "", f"--tenant {tenant}" if tenant else ""]
    return " ".join(part for part in parts if part)


async def strike_plans(at: Situation) -> list[Plan]:
    """Have jobs of it wait."""
    pairs = _pairs(at.about)
    if not pairs:
        raise NothingToDo("choose an adapter, or a queue")
    return [_strike(at, pair) for pair in pairs]


def _strike(at: Situation, pair: Pair) -> Plan:
    adapter, tenant = pair
    label = Strike(adapter=adapter, tenant=tenant, why="-").label

    async def run(reason: str) -> str:
        report = await at.clients.yard.strikes.add(adapter=adapter, tenant=tenant, reason=reason)
        return f"struck: {report.strike.label}; l lifts it"

    return Plan(
        title=f"Strike {label}",
        effect="Its jobs wait in the queue until somebody lifts the strike; none fails. What runs goes on. "
        "Whoever asks why a job waits is told your reason.",
        command=f"lorayard strikes add {_options(pair)} --why ...",
        reason=Reason.NEEDED,
        run=run,
    )


async def lift_plans(at: Situation) -> list[Plan]:
    """Let jobs of what is struck run again."""
    wanted = _pairs(at.about)
    struck = [one for one in at.picture.snapshot.strikes if (one.adapter, one.tenant) in wanted]
    if not struck:
        raise NothingToDo("nothing of it is struck")
    return [_lift(at, one) for one in struck]


def _lift(at: Situation, strike: Strike) -> Plan:
    async def run(reason: str) -> str:
        await at.clients.yard.strikes.lift(adapter=strike.adapter, tenant=strike.tenant, reason=reason)
        return f"lifted: {strike.label}"

    return Plan(
        title=f"Lift the strike of {strike.label}",
        effect=f"It was struck by {strike.by or 'somebody'}: {strike.why}. Its jobs run again at once.",
        command=f"lorayard strikes lift {_options((strike.adapter, strike.tenant))}",
        reason=Reason.KEPT,
        run=run,
    )


STRIKE = Action(
    key="S",
    word="strike",
    sentence="Have jobs of an adapter, a version or a tenant wait for a fault to be mended.",
    plans=strike_plans,
)
LIFT = Action(key="l", word="lift", sentence="Let jobs of what is struck run again.", plans=lift_plans)
