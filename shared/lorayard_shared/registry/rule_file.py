"""A file of rules, as an operator writes it (docs/rules.md): TOML, with the line of what is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from lorayard_schemas.reasons import plain_reason
from lorayard_schemas.routes import RouteRule, RouteTable
from lorayard_schemas.rule_parts import RulePart
from lorayard_shared.registry.errors import RuleFileError

_OF_TABLE = ("order", "conflict")

_FOLLOWS = ("missing", "too_short")
"""Of a rule with a wrong field it is that field that should be told, not the right one that lacks, nor a
list that is empty without what is wrong in it."""

_HEAD = re.compile(r"^\s*\[\[\s*rule\s*\]\]")
_TWICE = re.compile(r"two rules are called '(.*)'")
_TOML_LINE = re.compile(r"\(at line (\d+)")


def read_rules(text: str, source: str) -> RouteTable:
    """The table that a file asks for; `source` is its name, for people.

    Raises:
        RuleFileError: naming file, line and field.
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _TOML_LINE.search(str(error))
        line = int(at[1]) if at is not None else None
        raise RuleFileError(source=source, line=line, field="", reason=f"no TOML: {error}") from error
    strange = next((key for key in given if key not in (*_OF_TABLE, "rule")), None)
    if strange is not None:
        line = _line_of(text.splitlines(), strange)
        reason = (
            f"unknown field {strange!r}: a file has {' and '.join(_OF_TABLE)}, and [[rule]] for each rule"
        )
        raise RuleFileError(source=source, line=line, field=strange, reason=reason)
    rules: Any = given.get("rule", [])
    if not isinstance(rules, list):
        line = _line_of(text.splitlines(), "rule")
        raise RuleFileError(source=source, line=line, field="rule", reason="write [[rule]] above each rule")
    table: dict[str, Any] = {"rules": rules, **{name: given[name] for name in _OF_TABLE if name in given}}
    try:
        return RouteTable.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise _error(min(found, key=lambda one: one["type"] in _FOLLOWS), text, source) from error


def _error(first: Any, text: str, source: str) -> RuleFileError:
    place: Sequence[str | int] = first["loc"]
    named = [str(part) for part in place if isinstance(part, str)]
    field = ".".join(part for part in named if part != "rules")
    if first["type"] == "extra_forbidden":
        known = _KNOWN.get((len(place), str(place[2]) if len(place) > 3 else ""))
        reason = f"unknown field {named[-1]!r}; {known}" if known is not None else "unknown field"
    elif first["type"] == "missing":
        reason = f"{named[-1]} is missing"
    else:
        reason = plain_reason(first)
    line = _line(text, place)
    if (twice := _TWICE.search(reason)) is not None:
        line = [number for number, one in enumerate(text.splitlines(), 1) if twice[1] in one][1]
    return RuleFileError(source=source, line=line, field=field, reason=reason)


_A_PART = f"each of them has {', '.join(RulePart.model_fields)}"
_KNOWN = {
    (3, ""): f"a rule has {', '.join(RouteRule.model_fields)}",
    (5, "adapters"): _A_PART,
    (5, "add"): _A_PART,
}
"""What there is, by how deep a field stands, and in what."""


def _line(text: str, place: Sequence[str | int]) -> int | None:
    """Where in the file it stands, as far as that can be told: the field's line, else its rule's."""
    lines = text.splitlines()
    if not place or place[0] != "rules":
        return _line_of(lines, str(place[0])) if place else None
    heads = [number for number, line in enumerate(lines, 1) if _HEAD.match(line)]
    if len(place) < 2 or not isinstance(place[1], int) or place[1] >= len(heads):
        return None
    begin = heads[place[1]]
    end = heads[place[1] + 1] - 1 if place[1] + 1 < len(heads) else len(lines)
    of_rule = lines[begin:end]
    if len(place) > 3 and isinstance(place[3], int):
        return begin + _line_of_item(of_rule, str(place[2]), place[3])
    for part in reversed(place[2:]):
        found = _line_of(of_rule, str(part))
        if found is not None:
            return begin + found
    return begin


def _line_of_item(lines: Sequence[str], field: str, index: int) -> int:
    """Where a table in a list begins, each of which begins with a brace, or stands under a head."""
    first = _line_of(lines, field) or 1
    head = re.compile(rf"\[\[\s*rule\s*\.\s*{field}\s*\]\]")
    mark = head if head.search(lines[first - 1]) else re.compile(r"\{")
    begun = [number for number, line in enumerate(lines[first - 1 :], first) for _ in mark.findall(line)]
    return begun[index] if index < len(begun) else first


def _line_of(lines: Sequence[str], field: str) -> int | None:
    """The first line that gives this field a value, from 1 up."""
    given = re.compile(rf"^\s*(?:\[+\s*)?(?:[\w-]+\s*\.\s*)*[\"']?{re.escape(field)}[\"']?\s*(?:=|\]|\.)")
    return next((number for number, line in enumerate(lines, 1) if given.match(line)), None)
