"""Who gets which version: 10,000 users of a split, and what the choice costs a dispatcher."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import spread
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord, Arm
from lorayard_schemas.routes import Match, RouteRule, RouteTable
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory

NAME: Final = "acme/bench/shared"
ALIAS: Final = f"{NAME}@stable"
CONTROL, CANARY = "1", "2"
CANARY_PERCENT: Final = 10.0
ROUNDS: Final = 5
DRAWS: Final = 9
"""Of all users anew: one alone may be off by chance, 0.3 points in one of three."""
RULED_JOBS: Final = 1000
RULES: Final = 100
"""None of which fits: every one is looked at before the job gets the default."""


def sharing_figures(assignments: int) -> dict[str, Figure]:
    """Figures by the key of their goal."""
    asked = [_asked(number, ALIAS) for number in range(assignments)]
    one, other = _directory(revision=1), _directory(revision=2, backwards=True)
    first, second = _versions(one, asked), _versions(other, asked)
    same = sum(before == after for before, after in zip(first, second, strict=True))
    drawn = [_versions(_directory(revision=1, experiment=f"draw-{number}"), asked) for number in range(DRAWS)]
    canary = [100 * versions.count(CANARY) / assignments for versions in drawn]
    named = [_resolve_us(one, asked) for _ in range(ROUNDS)]
    ruled = _directory(revision=1, rules=RULES)
    unnamed = [_asked(number, None) for number in range(RULED_JOBS)]
    return {
        "share_error": Figure(
            value=spread([abs(percent - CANARY_PERCENT) for percent in canary]),
            note=f"{DRAWS} experiments of {assignments:,} users: {min(canary):.2f} to {max(canary):.2f} %",
        ),
        "sticky": Figure(
            value=spread([100 * same / assignments]),
            note="asked again of another dispatcher, after a later revision with its arms in another order",
        ),
        "resolve": Figure(value=spread(named), note="processor time, a user's job that names the alias"),
        "resolve_rules": Figure(
            value=spread([_resolve_us(ruled, unnamed) for _ in range(ROUNDS)]),
            note=f"processor time, {RULES} rules on metadata are looked at and none fits, then the default",
        ),
    }


def _directory(*, revision: int, backwards: bool = False, experiment: str = "", rules: int = 0) -> Directory:
    registry = AdapterRegistry()
    for version in (CONTROL, CANARY):
        registry.add(_record(version))
    directory = Directory(registry, ALIAS)
    arms = (Arm(version=CONTROL, weight=100 - CANARY_PERCENT), Arm(version=CANARY, weight=CANARY_PERCENT))
    directory.aliases.add(
        AliasRecord(
            adapter=NAME,
            alias="stable",
            revision=revision,
            arms=arms[::-1] if backwards else arms,
            experiment=experiment,
        )
    )
    directory.rules.put(RouteTable(rules=tuple(_rule(number) for number in range(rules))))
    return directory


def _record(version: str) -> AdapterRecord:
    return AdapterRecord(
        name=NAME,
        version=version,
        digest=f"sha256:{version * 64}",
        rank=8,
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=1,
    )


def _rule(number: int) -> RouteRule:
    return RouteRule(name=f"rule-{number}", metadata={"plan": Match(exact=f"plan-{number}")}, adapter=NAME)


def _asked(number: int, adapter: str | None) -> Asked:
    return Asked(
        tenant="acme",
        job=f"job-{number}",
        adapter=adapter,
        metadata={"user": f"user-{number}", "plan": "free"},
    )


def _versions(directory: Directory, asked: Sequence[Asked]) -> list[str]:
    found = [directory.resolve(one).record for one in asked]
    return [record.version for record in found if record is not None]


def _resolve_us(directory: Directory, asked: Sequence[Asked]) -> float:
    started = time.process_time()
    for one in asked:
        directory.resolve(one)
    return (time.process_time() - started) / len(asked) * 1e6
