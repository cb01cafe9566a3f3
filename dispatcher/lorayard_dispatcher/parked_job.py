"""A job in the dispatcher's hands: what the planner sees of it, and what a worker will need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lorayard_dispatcher.planning.values import WaitingJob, WorkerView
from lorayard_dispatcher.session import Session
from lorayard_schemas.additions import Additions
from lorayard_schemas.alias import AliasRef
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.semantic import SemanticVerdict
from lorayard_shared.jobs.bound import bindings
from lorayard_shared.jobs.composed import ResolvedComposition
from lorayard_shared.jobs.resolve import Kept
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.value import value

BYTES_A_TOKEN = 4.0
"""Of English text, roughly: what a job will cost its tenant is not known before it has run."""

REFUSALS = 2
"""Hand-overs that views may get wrong in a row; the next goes to the adapter's home and is queued there."""


@value
class ParkedJob:
    """A job bound to an adapter, waiting for a worker."""

    taken: TakenJob
    waiting: WaitingJob
    adapter: AdapterRef | None
    rule: str
    alias: AliasRef | None = None
    chosen_at: int = 0  # changes of aliases, rules, strikes and pauses until then
    session: Session | None = None
    kept: Kept | None = None
    """What its session had after this turn."""
    composition: ResolvedComposition | None = None
    verdict: SemanticVerdict | None = None
    """Of the classifier, where it was asked."""
    refused: int = 0  # times in a row
    additions: Additions | None = None  # what rules laid on top of what was chosen, and left out

    @property
    def forced(self) -> bool:
        """Whether it is to be taken though there is no room."""
        return self.refused >= REFUSALS

    def after_refusal(self) -> ParkedJob:
        """After a worker would not take it. One refused though forced is planned anew."""
        return replace(self, refused=0 if self.forced else self.refused + 1)

    def without_message(self) -> ParkedJob:
        """What is known of a job once a worker has it."""
        return replace(self, taken=replace(self.taken, body=b"", history=None))

    @property
    def key(self) -> str:
        """The job's identity."""
        return self.taken.key

    @property
    def refs(self) -> tuple[AdapterRef, ...]:
        """The adapter, or those that it is composed of; none for the base model."""
        if self.composition is not None:
            return self.composition.refs
        return () if self.adapter is None else (self.adapter,)

    @property
    def counts_as(self) -> tuple[AdapterRef | None, ...]:
        """As `refs`, with None for the base model: what pauses and limits go by."""
        return self.refs or (None,)

    @property
    def bound(self) -> dict[str, str]:
        """The versions that aliases led to."""
        made = None if self.composition is None else self.composition.applied
        return bindings(self.adapter, self.alias, made)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Adapters that rules name and that it goes without, as they are named."""
        return () if self.additions is None else tuple(one.adapter for one in self.additions.left_out)

    @property
    def named(self) -> str:
        """The adapter or the composition, for people."""
        if self.composition is not None:
            return self.composition.applied.label
        return f"{self.adapter.name}@{self.adapter.version}" if self.adapter is not None else ""

    def fits(self, view: WorkerView) -> bool:
        """Whether a worker can put its composition together; a job without one leaves that to the planner."""
        made = self.composition
        if made is None:
            return True
        parts = made.applied.digests
        return view.serves(self.waiting.group, made.base_digest, made.columns, parts, made.slots)

    def assigned(self, now: float) -> dict[str, Any]:
        """As handed over at `now` (unix seconds): an `AssignedJob`, as the map that travels.

        The model would cost three times as much as the packing, and nothing in it is new.
        """
        taken, ref = self.taken, self.adapter
        given: dict[str, Any] = {
            "key": taken.key,
            "lease": taken.lease,
            "subject": taken.subject,
            "body": taken.body,
            "job": taken.job,
            "attempt": taken.attempt,
            "deliveries": taken.deliveries,
            "rule": self.rule,
            "force": self.forced,
            "waited_ms": max(0.0, (now - taken.enqueued_at) * 1000),
        }
        if taken.history is not None:
            given["history"] = taken.history
        if taken.snoozed is not None:
            given["snoozed"] = taken.snoozed
        if ref is not None:
            given["adapter"] = {"name": ref.name, "version": ref.version, "digest": ref.digest}
        if self.composition is not None:
            given["composition"] = self.composition.applied.model_dump(mode="json", exclude_none=True)
        if self.verdict is not None and self.verdict.adapter is not None:
            given["confidence"] = self.verdict.confidence
        if self.alias is not None:
            given["alias"] = {"name": self.alias.name, "revision": self.alias.revision}
        if self.additions is not None:
            given["additions"] = self.additions.for_tenant.model_dump()
        return given
