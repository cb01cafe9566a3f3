"""What somebody holds: strikes, pauses and caps, below the overview."""

from __future__ import annotations

from lorayard_cli.top.amounts import UNKNOWN, age, moment
from lorayard_cli.top.columns import Column
from lorayard_cli.top.row import Row, Sheet
from lorayard_schemas.control import Cap, Pause, ends_at
from lorayard_schemas.snapshot import YardSnapshot
from lorayard_schemas.strike import Strike, strike_key

Held = Strike | Pause | Cap

HOLDS = Sheet(
    columns=(
        Column(title="held", width=26, grows=True, keeps_end=True),
        Column(title="is", width=10),
        Column(title="for", width=5, right=True),
        Column(title="until", width=11),
        Column(title="by", width=10),
        Column(title="why", width=10, grows=True),
    ),
    sorted_by=2,
    descending=True,
    empty="Nothing is paused, struck or capped.",
)


def hold_rows(snapshot: YardSnapshot) -> list[Row[Held]]:
    """One for each."""
    found: list[Held] = [*snapshot.strikes, *snapshot.pauses, *snapshot.caps]
    return [_row(held, snapshot.at) for held in found]


def _row(held: Held, now: float) -> Row[Held]:
    since = max(0.0, now - held.at) if held.at else None
    until = ends_at(held) if isinstance(held, Pause) else float("inf")
    ends = moment(until) if isinstance(held, Pause) and held.until is not None else UNKNOWN
    return Row(
        key=_key(held),
        cells=(held.label, _word(held), age(since), ends, held.by, held.why),
        order=(held.label, _word(held), since or 0.0, until, held.by, held.why),
        about=held,
    )


def _word(held: Held) -> str:
    if isinstance(held, Strike):
        return "struck"
    return held.word if isinstance(held, Pause) else f"capped {held.most}"


def _key(held: Held) -> str:
    if isinstance(held, Strike):
        return strike_key(held.adapter, held.tenant)
    return f"{'pause' if isinstance(held, Pause) else 'cap'} {held.thing}"


def hold_detail(held: Held, now: float) -> str:
    """The chosen one in full."""
    since = f", {age(max(0.0, now - held.at))} ago" if held.at else ""
    until = f" until {moment(held.until)} UTC" if isinstance(held, Pause) and held.until is not None else ""
    key = {Strike: "l lifts it", Pause: "r resumes it", Cap: "r takes it away"}[type(held)]
    return f"{held.label} is {_word(held)}{until}, by {held.by or 'somebody'}{since}: {held.why}\n{key}"
