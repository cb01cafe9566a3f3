"""What came of additions is remembered, and never taken for what comes of them now (C7, D7)."""

from __future__ import annotations

import pytest

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRef
from lorayard_schemas.routes import RouteRule
from lorayard_schemas.rule_parts import Conflict, RulePart
from lorayard_shared.jobs.adder import Adder
from lorayard_shared.jobs.resolve import Resolution, UnknownAdapterError

TASK, STYLE, TONE = "acme/tiny/task", "acme/tiny/style", "acme/tiny/tone"
OF_STYLE = AliasRef(name=f"{STYLE}@stable", revision=1)


def record(name: str, version: str = "1") -> AdapterRecord:
    return AdapterRecord(
        name=name,
        version=version,
        digest="sha256:" + f"{name}@{version}".encode().hex()[-40:],
        rank=4,
        alpha=8.0,
        targets=("q_proj",),
        size_bytes=1,
    )


def rule(name: str, adapter: str, weight: float = 0.5) -> RouteRule:
    return RouteRule(name=name, add=(RulePart(adapter=adapter, weight=weight),))


class Adding:
    """One adder, and what names stand for."""

    def __init__(self) -> None:
        self.adder = Adder()
        self.names: dict[str, tuple[AdapterRecord, AliasRef | None]] = {
            STYLE: (record(STYLE), OF_STYLE),
            TONE: (record(TONE), None),
        }
        self.versions = "none"
        self.at = 1

    def find(self, spec: str) -> tuple[AdapterRecord, AliasRef | None]:
        if spec not in self.names:
            raise UnknownAdapterError(spec=spec, reason=f"there are {self.versions}")
        return self.names[spec]

    def add(self, chosen: Resolution, *rules: RouteRule, tenant: str = "t") -> Resolution:
        return self.adder.add(chosen, rules, Conflict.FIRST, self.find, tenant=tenant, at=self.at)


@pytest.fixture
def adding() -> Adding:
    return Adding()


def chosen(
    name: str = TASK, version: str = "1", rule: str = "task:r", alias: str | None = None
) -> Resolution:
    led = None if alias is None else AliasRef(name=alias, revision=1)
    return Resolution(record=record(name, version), rule=rule, alias=led)


def told(found: Resolution) -> list[tuple[str, str, float]]:
    assert found.composition is not None
    return [(part.name, part.version, part.weight) for part in found.composition.applied.parts]


def test_jobs_of_one_kind_share_what_came_of_it_and_keep_what_chose_theirs__c7(adding: Adding) -> None:
    first = adding.add(chosen(), rule("a", STYLE))
    again = adding.add(chosen(rule="session"), rule("a", STYLE))
    assert again.composition is first.composition
    assert [(one.rule, one.chosen.rule) for one in (first, again)] == [("task:r",) * 2, ("session",) * 2]
    assert again.additions == first.additions


def test_what_differs_is_laid_anew__c7(adding: Adding) -> None:
    one = rule("a", STYLE)
    assert told(adding.add(chosen(), one)) == [(TASK, "1", 1.0), (STYLE, "1", 0.5)]
    assert told(adding.add(chosen(version="2"), one))[0] == (TASK, "2", 1.0)
    assert told(adding.add(chosen(TONE), one))[0] == (TONE, "1", 1.0)
    assert len(told(adding.add(chosen(), one, rule("b", TONE)))) == 3
    by_alias = adding.add(chosen(alias=f"{TASK}@next"), one)
    assert list(by_alias.bound) == [f"{TASK}@next", OF_STYLE.name]
    assert list(adding.add(chosen(), one).bound) == [OF_STYLE.name]
    adding.names[STYLE] = (record(STYLE, "2"), OF_STYLE)  # another user is drawn
    assert told(adding.add(chosen(), one))[1] == (STYLE, "2", 0.5)
    on_base = adding.add(Resolution(record=None, rule="base"), rule("a", STYLE, 1.0))
    assert (on_base.record, on_base.alias, on_base.chosen.record) == (record(STYLE, "2"), OF_STYLE, None)


def test_nothing_outlives_a_change_of_what_decides__c7(adding: Adding) -> None:
    assert told(adding.add(chosen(), rule("a", STYLE)))[1] == (STYLE, "1", 0.5)
    adding.at = 2
    adding.names[STYLE] = (record(STYLE), AliasRef(name=OF_STYLE.name, revision=2))
    found = adding.add(chosen(), rule("a", STYLE, 0.25))
    assert found.composition is not None
    part = found.composition.applied.parts[1]
    assert (part.weight, part.alias) == (0.25, AliasRef(name=OF_STYLE.name, revision=2))


def test_why_one_is_left_out_tells_a_tenant_nothing_of_what_others_see__d7(adding: Adding) -> None:
    reasons: list[str] = []
    for tenant, versions in (("them", "1 and 2"), ("us", "1 alone"), ("them", "1 and 2")):
        adding.versions = versions
        found = adding.add(chosen(), rule("a", "a/b/none"), tenant=tenant)
        assert (found.composition, found.record) == (None, record(TASK))
        assert found.additions is not None
        reasons.append(found.additions.left_out[0].why)
    assert reasons == ["there are 1 and 2", "there are 1 alone", "there are 1 and 2"]
