"""An adapter's page has a past when it is opened, and a gateway does not grow by it (F3)."""

from __future__ import annotations

from typing import Any

from lorayard_gateway.page.pasts import MOST_ADAPTERS, POINTS, STEP_SECONDS, Pasts


def row(waiting: int = 0, per_second: float | None = None, p95_ms: float = 0.0) -> dict[str, Any]:
    traffic = (
        None if per_second is None else {"per_second": per_second, "p95_ms": p95_ms, "p50_ms": p95_ms / 2}
    )
    return {"waiting": waiting, "traffic": traffic}


def test_versions_of_one_name_are_told_together_and_what_is_not_known_as_nothing() -> None:
    pasts = Pasts()
    pasts.add(1000.0, {"a/b/c@1": row(2, 1.5, 800.0), "a/b/c@2": row(1, 0.5, 1200.0), "a/b/d@1": row(4)})
    assert pasts.of("a/b/c") == [(1000.0, 2.0, 3.0, 1.2, 0.6)]
    assert pasts.of("a/b/d") == [(1000.0, 0.0, 4.0, None, None)]
    assert pasts.of("a/b/none") == [(1000.0, 0.0, 0.0, None, None)]


def test_who_is_asked_for_later_had_nothing_before_and_looks_between_steps_are_left_out() -> None:
    pasts = Pasts()
    pasts.add(1000.0, {"a/b/c@1": row()})
    pasts.add(1000.0 + STEP_SECONDS / 2, {"a/b/c@1": row(7)})
    pasts.add(1000.0 + STEP_SECONDS, {"a/b/c@1": row(3)})
    assert [(at, waiting) for at, _, waiting, _, _ in pasts.of("a/b/c")] == [(1000.0, 0.0), (1005.0, 3.0)]


def test_no_more_is_kept_than_there_is_room_for() -> None:
    pasts = Pasts()
    for step in range(POINTS + 7):
        pasts.add(STEP_SECONDS * step, {"a/b/c@1": row(step), "a/b/early@1": row(int(step < 10))})
        if step == POINTS + 3:
            pasts.add(STEP_SECONDS * step + 0.1, {})
    told = pasts.of("a/b/c")
    assert [waiting for _, _, waiting, _, _ in told] == [float(f"{n:.3g}") for n in range(7, POINTS + 7)]
    late = {f"a/b/{number}@1": row(1) for number in range(MOST_ADAPTERS + 5)}
    pasts.add(STEP_SECONDS * (POINTS + 7), late)
    assert sum(pasts.of(f"a/b/{number}")[-1][2] == 1.0 for number in range(MOST_ADAPTERS + 5)) < MOST_ADAPTERS


def test_those_that_nobody_asks_for_any_more_make_room_for_others() -> None:
    pasts = Pasts()
    pasts.add(0.0, {f"a/b/{number}@1": row(1) for number in range(MOST_ADAPTERS)})
    for step in range(1, POINTS + 1):
        pasts.add(STEP_SECONDS * step, {"a/b/0@1": row(1)})
    new = {"a/b/new@1": row(9), "a/b/0@1": row(1)}
    pasts.add(STEP_SECONDS * (POINTS + 1), new)
    assert pasts.of("a/b/new")[-1][2] == 9.0
    assert len(pasts.of("a/b/new")) == POINTS
