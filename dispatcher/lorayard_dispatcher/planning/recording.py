"""Write down what a planner is told and what it answers, and play it again: the same plans, bit for bit.

A recording is a list of entries, each a list that JSON can carry: the name of the call and its values. Floats
come back as they were, so a plan that differs shows that planning depends on something it was not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import (
    Decision,
    Drain,
    Plan,
    Prefetch,
    Resident,
    WaitingJob,
    WorkerView,
)

Entry = list[Any]

VERSION = 2

_SETS = ("host", "fetching", "lacks", "barred")


BY_DIGEST = ("base_of", "columns_of", "bytes_of", "parts_of", "worth_of")
"""What a policy says of each adapter: kept up by its owner."""


class RecordingError(Exception):
    """A recording cannot be played; `entry` counts from 0."""

    def __init__(self, *, entry: int, reason: str) -> None:
        super().__init__(f"entry {entry} of the recording: {reason}")
        self.entry = entry
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of a recording that was played."""

    plans: int
    differing: tuple[int, ...]  # entries whose plan came out otherwise


class RecordedPlanner(Planner):
    """A planner that tells `write` of every call, in the order in which it took them."""

    def __init__(self, policy: Policy, write: Callable[[Entry], None]) -> None:
        super().__init__(policy)
        self._write = write
        self._inside = False
        """Whether a call of ours is under way: what it calls in turn is played again by itself."""
        self._known = _by_digest(policy)
        write(["start", VERSION, asdict(policy)])

    def expect(self, adapters: Iterable[str]) -> None:
        """See `Planner.expect`."""
        adapters = list(adapters)
        self._tell("expect", adapters)
        super().expect(adapters)

    def put(self, job: WaitingJob, now: float | None = None) -> None:
        """See `Planner.put`."""
        self._tell("put", asdict(job), now)
        self._alone(lambda: super(RecordedPlanner, self).put(job, now))

    def take(self, key: str) -> WaitingJob | None:
        """See `Planner.take`."""
        self._tell("take", key)
        return super().take(key)

    def see(self, view: WorkerView) -> None:
        """See `Planner.see`."""
        self._tell("see", view_document(view))
        super().see(view)

    def lose(self, worker: str) -> None:
        """See `Planner.lose`."""
        self._tell("lose", worker)
        super().lose(worker)

    def charge(self, tenant: str, tokens: float) -> None:
        """See `Planner.charge`."""
        self._tell("charge", tenant, tokens)
        super().charge(tenant, tokens)

    def plan(self, now: float) -> Plan:
        """See `Planner.plan`."""
        self._look_at_bases()
        made = super().plan(now)
        self._tell("plan", now, plan_document(made))
        return made

    def _alone(self, call: Callable[[], None]) -> None:
        self._inside = True
        try:
            call()
        finally:
            self._inside = False

    def _tell(self, *entry: Any) -> None:
        if not self._inside:
            self._look_at_bases()
            self._write([*entry])

    def _look_at_bases(self) -> None:
        """Which base model an adapter fits, and its sizes, are kept up behind the planner's back."""
        policy, known = self.policy, self._known
        same = (
            policy.base_of == known["base_of"]
            and policy.columns_of == known["columns_of"]
            and policy.bytes_of == known["bytes_of"]
            and policy.parts_of == known["parts_of"]
            and policy.worth_of == known["worth_of"]
        )
        if not same:
            self._known = _by_digest(policy)
            self._write(["adapters", self._known])


def replay(entries: Iterable[Entry]) -> Replayed:
    """Play a recording on a fresh planner and compare the plans.

    Raises:
        RecordingError: an entry is none of ours.
    """
    player, plans, differing = _Player(), 0, list[int]()
    for number, entry in enumerate(entries):
        try:
            made = player.play(entry)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise RecordingError(entry=number, reason=f"{type(error).__name__}: {error}") from error
        if made is not None:
            plans += 1
            if made != entry[2]:
                differing.append(number)
    return Replayed(plans=plans, differing=tuple(differing))


class _Player:
    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {name: {} for name in BY_DIGEST}
        self._planner: Planner | None = None

    def play(self, entry: Entry) -> dict[str, Any] | None:
        """Make one call; returns what a plan came out as."""
        verb, *values = entry
        if verb == "start":
            self._start(*values)
            return None
        if self._planner is None:
            raise ValueError("it has to begin with `start`")
        match verb:
            case "expect":
                self._planner.expect(values[0])
            case "put":
                self._planner.put(WaitingJob(**values[0]), values[1])
            case "take":
                self._planner.take(values[0])
            case "see":
                self._planner.see(_view(values[0]))
            case "lose":
                self._planner.lose(values[0])
            case "charge":
                self._planner.charge(values[0], values[1])
            case "adapters":
                self._learn(values[0])
            case "plan":
                return plan_document(self._planner.plan(values[0]))
            case _:
                raise ValueError(f"no such call: {verb!r}")
        return None

    def _learn(self, known: Mapping[str, Any]) -> None:
        for name, of in self._known.items():
            of.clear()
            of.update(known.get(name, {}))
        parts_of = self._known["parts_of"]
        parts_of.update({group: tuple(parts) for group, parts in parts_of.items()})

    def _start(self, version: int, policy: Mapping[str, Any]) -> None:
        if version != VERSION:
            raise ValueError(f"version {version!r}, this program plays {VERSION}")
        self._learn(policy)
        given: dict[str, Any] = {
            **policy,
            "wait_bound_seconds": tuple(policy["wait_bound_seconds"]),
            **self._known,
        }
        self._planner = Planner(Policy(**given))


def _by_digest(policy: Policy) -> dict[str, dict[str, Any]]:
    return {name: dict(getattr(policy, name)) for name in BY_DIGEST}


def view_document(view: WorkerView) -> dict[str, Any]:
    """A view as JSON carries it; sets in order, so that one view has one form."""
    return {**asdict(view), **{name: sorted(getattr(view, name)) for name in _SETS}}


def plan_document(made: Plan) -> dict[str, Any]:
    """A plan as JSON carries it."""
    return {kind: [_document(each) for each in found] for kind, found in _parts(made).items()}


def _document(part: Decision | Drain | Prefetch) -> dict[str, Any]:
    """JSON knows lists only."""
    document: dict[str, Any] = part._asdict()
    if isinstance(part, Decision):
        document["evicts_more"] = list(part.evicts_more)
    return document


def _parts(made: Plan) -> dict[str, tuple[Any, ...]]:
    return {"decisions": made.decisions, "drains": made.drains, "prefetches": made.prefetches}


def _view(document: Mapping[str, Any]) -> WorkerView:
    residents = {digest: Resident(**resident) for digest, resident in document["resident"].items()}
    sets = {name: frozenset(document.get(name, ())) for name in _SETS}
    given: dict[str, Any] = {**document, "resident": residents, **sets}
    return WorkerView(**given)
