"""What a dispatcher tells of the classifier that chooses adapters by meaning."""

from __future__ import annotations

from collections.abc import Sequence

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_schemas.semantic import SemanticStatus

MICROSECONDS = 1e6


def semantic_status(dispatcher: Dispatcher) -> SemanticStatus | None:
    """Counts and cost of its decisions; None: no classifier was put into force."""
    book, record = dispatcher.choosing.directory.semantic, dispatcher.semantic.record
    if record is None and not book.is_asked:
        return None
    costs = sorted(book.costs_seconds)
    return SemanticStatus(
        revision=record.revision if record is not None else 0,
        artifact=record.artifact if record is not None else None,
        labels=len(book.labels),
        decided=book.decided,
        abstained=book.abstained,
        cost_p50_us=_quantile(costs, 0.5) * MICROSECONDS,
        cost_p99_us=_quantile(costs, 0.99) * MICROSECONDS,
        samples=len(dispatcher.samples),
        trouble=book.trouble,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
