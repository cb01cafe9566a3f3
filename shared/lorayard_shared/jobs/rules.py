"""Whether an operator's rule fits a job, and why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from functools import lru_cache

from lorayard_schemas.routes import Match, RouteRule, RouteTable, Stage
from lorayard_shared.jobs.asked import Asked


def fits(rule: RouteRule, asked: Asked) -> bool:
    """Whether everything fits that the rule looks at: `misfits` in short, as every job is held against it."""
    return (
        (rule.task is None or _fits(rule.task, asked.task))
        and (rule.tenant is None or _fits(rule.tenant, asked.tenant))
        and (rule.session is None or _fits(rule.session, asked.session))
        and (
            not rule.metadata
            or all(_fits(match, asked.metadata.get(key)) for key, match in rule.metadata.items())
        )
    )


def misfits(rule: RouteRule, asked: Asked) -> Iterator[str]:
    """What does not fit, as text for people."""
    for name, match, value in _looks(rule, asked):
        if not _fits(match, value):
            had = "is not given" if value is None else f"is {value!r}"
            yield f"{name} {had}, not {_told(match)}"


def _looks(rule: RouteRule, asked: Asked) -> Iterator[tuple[str, Match, str | None]]:
    if rule.tenant is not None:
        yield "tenant", rule.tenant, asked.tenant
    if rule.task is not None:
        yield "task", rule.task, asked.task
    if rule.session is not None:
        yield "session", rule.session, asked.session
    for key, match in rule.metadata.items():
        yield f"metadata.{key}", match, asked.metadata.get(key)


def _fits(match: Match, value: str | None) -> bool:
    if match.exact is not None:
        return value == match.exact
    if value is None:
        return False
    if match.prefix is not None:
        return value.startswith(match.prefix)
    if match.one_of is not None:
        return value in match.one_of
    assert match.glob is not None, "one of them is given"
    return _pattern(match.glob).match(value) is not None


@lru_cache(maxsize=4096)
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _told(match: Match) -> str:
    if match.exact is not None:
        return repr(match.exact)
    if match.prefix is not None:
        return f"anything that begins with {match.prefix!r}"
    if match.one_of is not None:
        return f"one of {', '.join(map(repr, match.one_of))}"
    return f"anything like {match.glob!r}"


def by_stage(table: RouteTable) -> Mapping[Stage, tuple[RouteRule, ...]]:
    """The rules of each stage that choose, in their order."""
    return {
        stage: rules
        for stage in Stage
        if (rules := tuple(rule for rule in table.rules if rule.chooses and rule.stage is stage))
    }
