"""Dead letters: jobs that the yard gave up, and why."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard import Letter
from lorayard_cli.top.amounts import UNKNOWN, age, moment
from lorayard_cli.top.columns import Column
from lorayard_cli.top.row import Mark, Row, Sheet

DEAD = Sheet(
    columns=(
        Column(title="letter", width=7, right=True),
        Column(title="age", width=5, right=True),
        Column(title="tenant", width=10, grows=True),
        Column(title="adapter", width=18, grows=True, keeps_end=True),
        Column(title="code", width=18, grows=True),
        Column(title="tries", width=5, right=True),
        Column(title="why", width=10, grows=True),
        Column(title="job", width=32, grows=True, rank=1),
    ),
    sorted_by=0,
    descending=True,
    empty="No dead letter: no job was given up.",
)


def dead_rows(letters: Sequence[Letter], now: float) -> list[Row[Letter]]:
    """One for each letter."""
    return [_row(letter, now) for letter in letters]


def _row(one: Letter, now: float) -> Row[Letter]:
    return Row(
        key=str(one.number),
        cells=(
            str(one.number),
            age(max(0.0, now - one.at)),
            one.tenant or UNKNOWN,
            one.adapter or UNKNOWN,
            one.code,
            str(len(one.attempts)),
            one.reason,
            one.job or UNKNOWN,
        ),
        order=(
            one.number,
            -one.at,
            one.tenant or "",
            one.adapter or "",
            one.code,
            len(one.attempts),
            one.reason,
            one.job or "",
        ),
        mark=Mark.PLAIN,
        about=one,
    )


def dead_detail(one: Letter) -> str:
    """The chosen one in full."""
    head = f"letter {one.number} · job {one.job or '(none that can be read)'} · {moment(one.at)} UTC"
    return f"{head}\n{one.code}: {one.reason}"


def dead_story(one: Letter) -> str:
    """All of it: what was tried, and where."""
    tried = [
        f"attempt {each.attempt} at {each.worker or UNKNOWN}, {moment(each.at)}: {each.code}: {each.message}"
        for each in one.attempts
    ]
    whose = f"tenant {one.tenant or UNKNOWN} · {one.adapter or 'no adapter named'}"
    return "\n".join([dead_detail(one), whose, "", *(tried or ["Nothing was tried."])])
