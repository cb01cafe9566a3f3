"""Every verb about adapters, aliases and rules. `verbs` has all of them."""

from __future__ import annotations

from typing import Any

from tests.bus.conftest import ADAPTER
from tests.bus.lost.conftest import Case
from tests.bus.lost.verb import Given, Verb, given

from lorayard import (
    Match,
    RouteRule,
    RouteTable,
)


async def split(case: Case) -> None:
    await case.sure.aliases.split(f"{ADAPTER}@{case.name}", {"1": 100}, preload_seconds=None, reason="ready")


async def split_twice(case: Case) -> None:
    await split(case)
    await case.sure.aliases.split(f"{ADAPTER}@{case.name}", {"2": 100}, preload_seconds=None, reason="ready")


async def has_revisions(case: Case, number: int) -> bool:
    return len(await case.sure.aliases.history(f"{ADAPTER}@{case.name}")) == number


async def validated(case: Case) -> None:
    await case.push()
    await case.sure.adapters.validate(f"{case.adapter}@1")


async def serving(case: Case) -> None:
    await case.push()
    await case.sure.adapters.activate(f"{case.adapter}@1")


def versioned(case: Case, _client: Any) -> Given:
    return given(f"{case.adapter}@1", reason=case.name)


async def is_sound(case: Case) -> bool:
    return [check.sound for check in await case.sure.adapters.verify(case.adapter)] == [True]


async def two_tables(case: Case) -> None:
    for number in (1, 2):
        await case.sure.rules.set(table(case, number), reason="ready")


def table(case: Case, number: int) -> RouteTable:
    rule = RouteRule(name=f"{case.name}-{number}", task=Match(exact=case.name), adapter=ADAPTER)
    return RouteTable(rules=(rule,))


ALIASES = (
    Verb(path="aliases.list", ready=split, right=lambda _c, got: len(got) >= 1),
    Verb(
        path="aliases.history",
        ready=split,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}"),
        right=lambda _c, got: len(got) == 1,
    ),
    Verb(
        path="aliases.split",
        goes_on=True,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", {"1": 90, "2": 10}, reason=c.name),
        right=lambda c, _report: has_revisions(c, 1),
        changes=1,
    ),
    Verb(
        path="aliases.promote",
        goes_on=True,
        ready=split,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", "2", reason=c.name),
        right=lambda c, _report: has_revisions(c, 2),
        changes=1,
    ),
    Verb(
        path="aliases.rollback",
        goes_on=True,
        ready=split_twice,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", reason=c.name),
        right=lambda c, _record: has_revisions(c, 3),
        changes=1,
    ),
    Verb(
        path="aliases.unalias",
        ready=split,
        given=lambda c, _y: given(f"{ADAPTER}@{c.name}", reason=c.name),
        changes=1,
    ),
)

ADAPTERS = (
    Verb(path="adapters.__call__", right=lambda _c, got: len(got) >= 2),
    Verb(path="adapters.find", ready=Case.push, given=lambda c, _y: given(f"{c.adapter}@1")),
    Verb(
        path="adapters.push",
        given=lambda c, _y: given(c.weights(), name=c.adapter, version="1", reason=c.name),
        right=lambda c, _report: is_sound(c),
        changes=1,
    ),
    Verb(
        path="adapters.pull",
        ready=Case.push,
        given=lambda c, _y: given(c.adapter, c.folder / f"{c.name}-pulled"),
    ),
    Verb(
        path="adapters.verify",
        ready=Case.push,
        given=lambda c, _y: given(c.adapter),
        right=lambda _c, got: [check.sound for check in got] == [True],
    ),
    Verb(path="adapters.verify_classifiers", right=lambda _c, got: got == []),
    Verb(path="adapters.repair", ready=Case.push, given=lambda c, _y: given(c.weights(), c.adapter)),
    Verb(path="adapters.sweep", given=lambda _c, _y: given(dry_run=True), alone=True),
    Verb(path="adapters.diff", ready=Case.push, given=lambda c, _y: given(c.adapter, c.weights())),
    Verb(
        path="adapters.validate",
        ready=Case.push,
        given=versioned,
        right=lambda _c, record: record.state == "validated",
    ),
    Verb(
        path="adapters.activate",
        ready=validated,
        given=versioned,
        right=lambda _c, record: record.state == "active",
        changes=1,
    ),
    Verb(path="adapters.archive", ready=serving, given=versioned, changes=1),
    Verb(
        path="adapters.amend",
        ready=Case.push,
        given=lambda c, _y: given(f"{c.adapter}@1", labels={"a": "b"}, reason=c.name),
        changes=1,
    ),
    Verb(path="adapters.remove", ready=Case.push, given=versioned, changes=1),
)

RULES = (
    Verb(path="rules.get", alone=True),
    Verb(path="rules.history", alone=True),
    Verb(path="rules.set", given=lambda c, _y: given(table(c, 1), reason=c.name), changes=1, alone=True),
    Verb(
        path="rules.rollback",
        goes_on=True,
        ready=two_tables,
        given=lambda c, _y: given(reason=c.name),
        right=lambda c, now: now.rules == table(c, 1).rules,
        changes=1,
        alone=True,
    ),
    Verb(path="rules.test", given=lambda c, _y: given(task=c.name, prompt="hello")),
    Verb(path="rules.classifier.get"),
    Verb(path="rules.classifier.history"),
)
