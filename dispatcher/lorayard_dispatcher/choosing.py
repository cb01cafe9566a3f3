"""Which adapter a job gets here, and that one which has begun keeps its version."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.session import Session
from lorayard_schemas.control import Hold
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked, asked_of
from lorayard_shared.jobs.bound import bound_text
from lorayard_shared.jobs.controls import ControlBook
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import Resolution
from lorayard_shared.jobs.taken_job import TakenJob

REMEMBERED_JOBS = 100_000
"""That an alias led somewhere, as many as whereabouts are known of; 20 MB at most."""


class Choosing:
    """The directory of one dispatcher, its strikes, pauses and limits, and what was begun."""

    def __init__(self, registry: AdapterRegistry, default: str | None) -> None:
        self.directory = Directory(registry, default)
        self.controls = ControlBook()
        self._begun: OrderedDict[str, str] = OrderedDict()
        """Job key -> `bound_text` of what aliases led it to. A restarted dispatcher draws anew, and gets the
        same unless weights have changed meanwhile."""

    @property
    def changes(self) -> int:
        """Of aliases, rules, strikes and pauses since the start: what was chosen before one may be wrong."""
        return self.directory.changes + self.controls.changes

    def choose(self, job: TakenJob, session: Session | None) -> Resolution:
        """The adapter of a job.

        Raises:
            UnknownAdapterError: what was decided on is not there for its tenant.
        """
        kept = None if session is None else session.kept
        return self.directory.resolve(self._asked(job, session), kept)

    def choose_again(self, parked: ParkedJob) -> Resolution:
        """The adapter of a job that had one: of a session it goes on with what its own turn had, whatever
        later turns have brought.

        Raises:
            UnknownAdapterError: what was decided on is not there for its tenant.
        """
        asked = self._asked(parked.taken, parked.session)
        if asked.body is None:
            asked = replace(asked, meant=parked.verdict)
        return self.directory.resolve(asked, parked.kept)

    def _asked(self, job: TakenJob, session: Session | None) -> Asked:
        return asked_of(job, self._begun.get(job.key), None if session is None else session.bound)

    def hold(self, job: TakenJob, found: Resolution) -> Hold | None:
        """What keeps the job from starting."""
        return self.controls.hold(job.address, found.refs) if self.controls.holds_any else None

    def begin(self, parked: ParkedJob) -> None:
        """A job is given to a worker: given out again, it keeps its versions while their aliases have any use
        for them."""
        if parked.alias is None and parked.composition is None:
            return
        bound = parked.bound
        if not bound:
            return
        self._begun[parked.key] = bound_text(bound)
        self._begun.move_to_end(parked.key)
        while len(self._begun) > REMEMBERED_JOBS:
            self._begun.popitem(last=False)
