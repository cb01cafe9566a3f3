"""Why a job went where it went: one clause for each phase of the planner."""

from __future__ import annotations

from lorayard_schemas.audit import DecisionRecord
from lorayard_schemas.semantic import SemanticVerdict

PLACES = {"host": "host memory", "disk": "disk"}


def why(decision: DecisionRecord) -> str:
    """The clause after `because`."""
    worker, adapter = decision.worker, adapter_of(decision)
    match decision.phase:
        case "session":
            holds = "" if _is_base(decision) else f" held {adapter},"
            return f"{worker}{holds} had the conversation of its session and had room"
        case "warm" if _is_base(decision):
            return f"{worker} had room, and the base model needs no slot"
        case "warm":
            return f"{worker} held {adapter} and had room"
        case "hand_over":
            return f"a slot of {worker} was drained for {adapter} and had come free{_load(decision)}"
        case "overdue":
            before = f"it was overdue after {seconds(decision.waited_ms / 1000)} and went before warm work"
            return f"{before}, to {worker}{_held_or_loaded(decision)}"
        case "load":
            return f"no worker with {adapter} had room, and this load released the most work{_load(decision)}"
        case "spill":
            more = f"the workers with {adapter} had more work than a further load costs"
            return f"{more}, so {worker} took it up as well{_load(decision)}"
        case "conserve":
            past = f"tenant {decision.tenant} was past its share, but nobody else could use the row"
            return f"{past}{_held_or_loaded(decision)}"
        case "blind":
            age = seconds(decision.view_age_seconds)
            return f"the fleet had not been heard for {age}, so {worker} was chosen by hash"
        case "forced_home":
            return f"workers refused it, so it went to {worker}, the home of its adapter, to be queued there"
        case other:
            return f"the planner chose {worker} in its phase {other}{_held_or_loaded(decision)}"


def meant(verdict: SemanticVerdict | None, rule: str) -> str:
    """What the classifier had to do with the adapter, as a further clause."""
    if verdict is None:
        return ""
    if verdict.adapter is not None:
        return f"; by its meaning its prompt is for {verdict.told}"
    return f"; semantic abstained: {verdict.told}, then {rule}"


def adapter_of(decision: DecisionRecord) -> str:
    """`name@version`, a composition, or the base model."""
    if decision.composition is not None:
        return decision.composition.label
    ref = decision.adapter
    return "the base model" if ref is None else f"{ref.name}@{ref.version}"


def _is_base(decision: DecisionRecord) -> bool:
    return decision.adapter is None and decision.composition is None


def seconds(value: float) -> str:
    """A time for people, as short as it is true."""
    value = max(0.0, value)
    if value < 10:
        return f"{value:.2f} s" if value < 1 else f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _held_or_loaded(decision: DecisionRecord) -> str:
    if _is_base(decision):
        return ""
    return f", which held {adapter_of(decision)}" if decision.source == "slot" else _load(decision)


def _load(decision: DecisionRecord) -> str:
    """Where the adapter had to come from, and what had to go for it."""
    if decision.source == "slot":
        return ""
    cost = f", {seconds(decision.cost_seconds)}" if decision.cost_seconds else ""
    evicted = f" in place of {decision.evicts}" if decision.evicts else ""
    return f" (loaded from {PLACES[decision.source]}{evicted}{cost})"
