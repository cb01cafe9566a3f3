"""What waits follows what has changed: aliases, rules, strikes, pauses, and who may use what (D4, D7, E5).

All in the breath in which the change is heard, so that no plan after it gives out what was chosen before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import structlog

from lorayard_dispatcher.choosing import Choosing
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_dispatcher.withdrawing import Withdrawing
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord
from lorayard_shared.jobs.asked import Asked, asked_of
from lorayard_shared.jobs.resolve import Rule, UnknownAdapterError
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.logs import Event


class Rerouting:
    """Chooses anew for the jobs that wait at one dispatcher."""

    def __init__(
        self,
        choosing: Choosing,
        pool: Pool,
        unresolved: Unresolved,
        *,
        withdrawing: Withdrawing,
        take: Callable[[TakenJob], None],
        changed: Callable[[], None],
        on_controls: Callable[[], None],
    ) -> None:
        """`take` gets jobs that are to be looked at anew; `changed` is told that there may be room, and
        `on_controls` that strikes, pauses or caps are others."""
        self._on_controls = on_controls
        self._withdrawing = withdrawing
        self._choosing = choosing
        self._pool = pool
        self._unresolved = unresolved
        self._take = take
        self._changed = changed
        self._log = structlog.get_logger()

    def on_alias(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of aliases."""
        aliases = self._choosing.directory.aliases
        adapter = aliases.on_change(key, value)
        if adapter is not None:
            # A plain name may follow an alias that is new, so all of this adapter's jobs are looked at.
            self._follow_everywhere(lambda parked: _mentions(parked, adapter), aliases.get(key))

    def on_rules(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of rules."""
        if self._choosing.directory.rules.on_change(key, value):
            self._follow_everywhere(lambda _: True)

    def on_access(self, record: AdapterRecord) -> None:
        """A version is for other tenants than it was: jobs of those who may not use it any more go another
        way, or nowhere, unless they have begun."""

        def is_shut_out(parked: ParkedJob) -> bool:
            has = any((ref.name, ref.version) == (record.name, record.version) for ref in parked.refs)
            return has and not record.allows(parked.taken.address.tenant)

        self._follow(is_shut_out)
        self._withdrawing.follow(is_shut_out)

    def on_classifier(self) -> None:
        """Another classifier is in force, or none."""
        self._follow(lambda parked: parked.taken.address.adapter is None)

    def might_mean(self) -> Iterator[Asked]:
        """Jobs that a classifier may have a say on: nothing that is asked before it has decided."""
        after = {Rule.SEMANTIC, Rule.BASE, *self._choosing.directory.rules.after_meaning}
        for parked in self._pool:
            if parked.rule.partition(":")[0] in after:
                yield asked_of(parked.taken)

    def on_control(self, key: str, value: bytes | None) -> None:
        """A change in the bucket of strikes, pauses and caps."""
        if self._choosing.controls.on_change(key, value, time.time()):
            self._on_holds()

    def lapse(self, now: float) -> None:
        """Pauses whose time is over end (unix seconds)."""
        if self._choosing.controls.lapse(now):
            self._on_holds()

    def _on_holds(self) -> None:
        for job in self._unresolved.take_held():
            self._take(job)
        self._follow_everywhere(lambda _: True)
        self._on_controls()

    def as_now(self, parked: ParkedJob) -> ParkedJob | None:
        """The job by what leads to its adapter now; None: it is to go another way."""
        if parked.chosen_at == self._choosing.changes and not parked.lacks:
            return parked
        return self._looked_at(parked)  # what a rule could not add may be there by now

    def leaves(self, parked: ParkedJob) -> bool:
        """Whether a job that was given to a worker is led elsewhere by an alias or a rule by now, or held.

        One that names its version keeps it, and so does one of a name that has a newer version. Its prompt is
        not read again.
        """
        if parked.chosen_at == self._choosing.changes:
            return False
        try:
            found = self._choosing.choose_again(parked.without_message())
        except UnknownAdapterError:
            return bool(parked.bound)
        except Exception:  # noqa: BLE001  # one job that nobody can choose for must not end the watch, or hide others
            self._log.exception(
                Event.LOOP_FAILED,
                job=parked.taken.job,
                tenant=parked.taken.address.tenant,
                **parked.taken.traced,
            )
            return False
        named = found.rule == parked.rule == Rule.EXPLICIT and found.alias is parked.alias is None
        named = named and found.composition is None  # whose parts may be aliases
        moved = found.made_of != (parked.waiting.group or None) or found.ref != parked.adapter
        return (moved and not named) or self._choosing.hold(parked.taken, found) is not None

    def _follow_everywhere(
        self, may_move: Callable[[ParkedJob], bool], alias: AliasRecord | None = None
    ) -> None:
        """At workers, too, where it has not begun."""
        self._follow(may_move)
        self._withdrawing.follow(lambda parked: may_move(parked) and self.leaves(parked), alias)

    def _follow(self, may_move: Callable[[ParkedJob], bool]) -> None:
        for parked in [parked for parked in self._pool if may_move(parked)]:
            now = self._looked_at(parked)
            if now is None:
                self._pool.take(parked.key)
                self._take(parked.taken)
            else:
                self._pool.relabel(now)
        for job in self._unresolved.take_unknown():
            self._take(job)
        self._changed()

    def _looked_at(self, parked: ParkedJob) -> ParkedJob | None:
        """The job as it is now; None: it is to go another way."""
        try:
            found = self._choosing.choose_again(parked)
        except UnknownAdapterError:
            return None
        except Exception:  # noqa: BLE001  # must not end the watch; whoever takes it meets it again, and logs it
            return None
        if found.made_of != (parked.waiting.group or None) or found.ref != parked.adapter:
            return None
        if self._choosing.hold(parked.taken, found) is not None:
            return None
        told = (found.rule, found.verdict)
        if found.rule == Rule.SESSION:  # it is its own turn that it kept
            told = (parked.rule, parked.verdict)
        rule, verdict = told
        return replace(
            parked,
            rule=rule,
            verdict=verdict,
            alias=found.alias,
            composition=found.composition,
            additions=found.additions,
            chosen_at=self._choosing.changes,
        )


def _mentions(parked: ParkedJob, adapter: str) -> bool:
    """Whether the job has a version of an adapter, or goes without one that a rule would add."""
    if any(lacking.partition("@")[0] == adapter for lacking in parked.lacks):
        return True
    if parked.composition is not None:
        return any(part.name == adapter for part in parked.composition.applied.parts)
    return parked.adapter is not None and parked.adapter.name == adapter
