"""The table: what each figure must reach."""

from __future__ import annotations

from typing import Final

from lorayard_cli.bench.engine_report.goals import Goal, Sense


def _least(key: str, title: str, must: float | None = None) -> Goal:
    return Goal(key=key, title=title, must=must)


def _most(key: str, title: str, must: float | None = None) -> Goal:
    return Goal(key=key, title=title, sense=Sense.AT_MOST, must=must)


def _transfer(mib: int, push: float | None = None, pull: float | None = None) -> tuple[Goal, ...]:
    return (
        _least(f"push_{mib}", f"push, {mib} MiB: MB/s ÷ a bare put", push),
        _least(f"pull_{mib}", f"pull, {mib} MiB: MB/s ÷ a bare get", pull),
        _most(f"again_{mib}", f"push of {mib} MiB that the store has, ms"),
    )


LEAST_OF_PUT: Final = 0.25
"""Ours reads every value and hashes the file for four digests, and the bare put for one."""

LEAST_OF_GET: Final = 1.0

TRANSFER_GOALS: Final = (
    *_transfer(1),  # mostly the registry's own requests
    *_transfer(16, LEAST_OF_PUT, LEAST_OF_GET),
    *_transfer(64, LEAST_OF_PUT, LEAST_OF_GET),
)

ROLLOUT_GOALS: Final = (
    _most("first_answer", "from push to the first answer of a new version, s", 5.0),
    _most("first_push", "of that, the push, s"),
    _most("first_validate", "of that, a worker tries it, s"),
    _most("first_activate", "of that, the activation, s"),
    _most("first_answer_only", "of that, the first answer, s"),
    _most("rollback_p99", "rollback to the last start on what was left, p99, s", 1.0),
    _most("rollback_p50", "the same, p50, s"),
    _most("given_after", "jobs given to the old version once the revision was seen", 0),
    _most("begun_after", "rows begun on the old version while their worker was being told"),
    _most("begun_knowing", "rows begun on the old version at a worker that had answered by the new one", 0),
    _most("rollback_failed", "jobs that failed meanwhile", 0),
)

GUARD_GOALS: Final = (
    _most("guard_twice", "answers until a canary with twice 5 % errors is stopped", 600),
    _most("guard_broken", "answers until one that breaks every other job is stopped", 20),
    _most("guard_false", "share of canaries as good as the control that are stopped", 0.01),
)

SHARING_GOALS: Final = (
    _most("share_error", "a 10 % share of 10,000 users: points off", 1.0),
    _least("sticky", "users who stay with their version, %", 100.0),
    _most("resolve", "choosing a version of a split, µs"),
    _most("resolve_rules", "choosing past 100 rules, µs"),
)

MEANING_GOALS: Final = (
    _most("meaning_p50_10", "choosing by meaning, 10 adapters, p50, ms"),
    _most("meaning_p99_10", "the same, p99, ms", 2.0),
    _most("meaning_p50_100", "choosing by meaning, 100 adapters, p50, ms"),
    _most("meaning_p99_100", "the same, p99, ms", 2.0),
    _most("meaning_p50_1000", "choosing by meaning, 1,000 adapters, p50, ms"),
    _most("meaning_p99_1000", "the same, p99, ms", 2.0),
)

GOALS: Final = (*TRANSFER_GOALS, *ROLLOUT_GOALS, *GUARD_GOALS, *SHARING_GOALS, *MEANING_GOALS)
