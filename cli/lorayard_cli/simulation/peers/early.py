"""Early binding: a job goes to a worker as soon as it comes, and queues there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from lorayard_cli.simulation.peers.board import Board
from lorayard_cli.simulation.router import Desk, HandOver, Orders, RouterMaker, Setup, Sight
from lorayard_dispatcher.planning.values import WaitingJob


class Rule(Protocol):
    """One dispatcher's rule, with its state."""

    def choose(self, job: WaitingJob, board: Board, now: float) -> str | None:
        """The worker; None: none yet, ask again."""
        ...


@dataclass(slots=True)
class _Dispatcher:
    rule: Rule
    board: Board
    waiting: list[WaitingJob] = field(default_factory=list[WaitingJob])


class EarlyBinding:
    """A Router of rules that answer for one job at a time. Several dispatchers get the jobs at random."""

    def __init__(self, setup: Setup, make: Callable[[], Rule], *, at_once: int | None = None) -> None:
        self._dispatchers = [
            _Dispatcher(rule=make(), board=Board(setup, number)) for number in range(setup.dispatchers)
        ]
        self._random = Random(f"{setup.seed} front")
        self._giver: dict[str, _Dispatcher] = {}
        self._at_once = at_once

    def arrive(self, job: WaitingJob, now: float) -> None:
        """It waits for the next tick of its dispatcher."""
        del now
        self._random.choice(self._dispatchers).waiting.append(job)

    def done(self, job: WaitingJob, worker: str, tokens: float, now: float) -> None:
        """Count it where it was given."""
        del tokens, now
        self._giver.pop(job.key).board.end(job.group, worker)

    def see(self, sights: Sequence[Sight], now: float) -> None:
        """Keep the reports."""
        del now
        by_name = {sight.view.worker: sight for sight in sights}
        for dispatcher in self._dispatchers:
            dispatcher.board.sights = by_name

    def tick(self, now: float, desks: Sequence[Desk]) -> Orders:
        """Ask the rule for every job, the oldest first; at most so many at once."""
        del desks
        given: list[HandOver] = []
        for dispatcher in self._dispatchers:
            asked = dispatcher.waiting[: self._at_once]
            left = [job for job in asked if not self._give(dispatcher, job, now, given)]
            dispatcher.waiting = left + dispatcher.waiting[len(asked) :]
        return Orders(hand_overs=given)

    def _give(self, dispatcher: _Dispatcher, job: WaitingJob, now: float, given: list[HandOver]) -> bool:
        worker = dispatcher.rule.choose(job, dispatcher.board, now)
        if worker is None:
            return False
        dispatcher.board.give(job.group, worker)
        self._giver[job.key] = dispatcher
        given.append(HandOver(job=job.key, worker=worker))
        return True


def early(make: Callable[[], Rule]) -> RouterMaker:
    """A router for one run of a rule that needs nothing but the board."""

    def for_run(setup: Setup) -> EarlyBinding:
        return EarlyBinding(setup, make)

    return for_run
