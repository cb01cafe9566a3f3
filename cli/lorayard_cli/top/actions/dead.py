"""Retry and redrive: dead letters become jobs again."""

from __future__ import annotations

import asyncio
from collections import Counter

from lorayard import Letter, LetterUnknownError, RedriveOutcome
from lorayard_cli.top.actions.action import Action, NothingToDo, Plan, Situation
from lorayard_cli.top.amounts import count

TOGETHER = 32
"""Letters tried again at once: a round trip for all of them."""


async def retry_plans(at: Situation) -> list[Plan]:
    """Try the chosen one again."""
    if not isinstance(at.about, Letter):
        raise NothingToDo("choose a dead letter")
    return [_retry(at, at.about)]


def _retry(at: Situation, letter: Letter) -> Plan:
    async def run(_reason: str) -> str:
        report = await at.clients.yard.dead.redrive(letter.number)
        return f"letter {letter.number}: {report.outcome}: {report.new_job or report.reason}"

    return Plan(
        title=f"Retry letter {letter.number}",
        effect=f"Job {letter.job or '(unreadable)'} of tenant {letter.tenant or '-'} is queued again under a "
        f"new id, once, without its deadline, and the letter goes. It was given up for {letter.code}.",
        command=f"lorayard dead redrive {letter.number}",
        run=run,
    )


async def redrive_plans(at: Situation) -> list[Plan]:
    """Try all again that fit the filter."""
    letters = [one for one in at.shown if isinstance(one, Letter)]
    if not letters:
        raise NothingToDo("there is no dead letter here")
    return [_redrive(at, letters)]


def _redrive(at: Situation, letters: list[Letter]) -> Plan:
    async def run(_reason: str) -> str:
        told = Counter[str]()
        for first in range(0, len(letters), TOGETHER):
            some = letters[first : first + TOGETHER]
            told.update(await asyncio.gather(*(_try(at, letter) for letter in some)))
        return ", ".join(f"{count(number)} {outcome}" for outcome, number in told.most_common())

    codes = Counter(letter.code for letter in letters).most_common(3)
    why = ", ".join(f"{code} {count(number)}" for code, number in codes)
    which = f"that fit {at.filter!r}" if at.filter else "that are listed"
    number = f"{count(len(letters))} {'letter' if len(letters) == 1 else 'letters'}"
    return Plan(
        title=f"Redrive {number}",
        effect=f"The jobs of all {number} {which} ({why}) are queued again, each once and under a new id. "
        "What was given up for a fault that still stands comes back here.",
        command="lorayard dead redrive " + (" ".join(str(one.number) for one in letters[:3]) + " ..."),
        run=run,
    )


async def _try(at: Situation, letter: Letter) -> str:
    try:
        return (await at.clients.yard.dead.redrive(letter.number)).outcome.value
    except LetterUnknownError:
        return RedriveOutcome.BEFORE.value  # somebody else was faster


RETRY = Action(key="t", word="retry", sentence="Queue the job of a dead letter again.", plans=retry_plans)
REDRIVE = Action(
    key="R", word="redrive all", sentence="Queue those of all letters that are listed.", plans=redrive_plans
)
