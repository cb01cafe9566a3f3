"""Pin and unpin: adapters that stay in their slots."""

from __future__ import annotations

from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Reason, Situation
from lorayard_schemas.adapter import AdapterState
from lorayard_schemas.snapshot import AdapterRow


async def pin_plans(at: Situation) -> list[Plan]:
    """Have it stay in a slot."""
    adapter = _adapter(at)
    if adapter.state != AdapterState.ACTIVE:
        raise NothingToDo(f"{adapter.name}@{adapter.version} is {adapter.state}: only what serves is pinned")
    return [
        _plan(
            at,
            name,
            pin=True,
            effect=f"{which} is brought into a slot, one at least, and stays there however little it is "
            "asked for: others have so much less room. It is refused where the fleet cannot hold it.",
        )
        for name, which in _names(adapter)
    ]


async def unpin_plans(at: Situation) -> list[Plan]:
    """Let it make way for others."""
    adapter = _adapter(at)
    if not adapter.pinned:
        raise NothingToDo(f"{adapter.name}@{adapter.version} is not pinned")
    return [
        _plan(
            at,
            name,
            pin=False,
            effect=f"{which} makes way for others when it is not asked for. What else was declared stays.",
        )
        for name, which in _names(adapter)
    ]


def _names(adapter: AdapterRow) -> list[tuple[str, str]]:
    version = f"{adapter.name}@{adapter.version}"
    return [(version, "This version"), (adapter.name, "The newest version, and those to come,")]


def _adapter(at: Situation) -> AdapterRow:
    if not isinstance(at.about, AdapterRow):
        raise NothingToDo("choose an adapter")
    return at.about


def _plan(at: Situation, name: str, *, pin: bool, effect: str) -> Plan:
    word = "pin" if pin else "unpin"

    async def run(reason: str) -> str:
        reply = await at.clients.yard.place(name, pin=pin, reason=reason)
        return "; ".join([f"{name} is {word}ned", *reply.warnings])

    return Plan(
        title=f"{word.capitalize()} {name}",
        effect=effect,
        command=f"lorayard adapters {word} {name}",
        reason=Reason.KEPT,
        run=run,
    )


PIN = Action(key="n", word="pin", sentence="Have an adapter stay in a slot.", plans=pin_plans)
UNPIN = Action(key="u", word="unpin", sentence="Let it make way for others again.", plans=unpin_plans)
