"""A file of rules, as an operator writes it (docs/rules.md): TOML, with the line of what is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from lorayard_schemas.routes import RouteRule, RouteTable
from lorayard_shared.registry.errors import RuleFileError

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
    strange = next((key for key in given if key not in ("order", "rule")), None)
    if strange is not None:
        line = _line_of(text.splitlines(), strange)
        reason = f"unknown field {strange!r}: a file has order, and [[rule]] for each rule"
        raise RuleFileError(source=source, line=line, field=strange, reason=reason)
    rules: Any = given.get("rule", [])
    if not isinstance(rules, list):
        line = _line_of(text.splitlines(), "rule")
        raise RuleFileError(source=source, line=line, field="rule", reason="write [[rule]] above each rule")
    table = {"rules": given.get("rule", ()), **({"order": given["order"]} if "order" in given else {})}
    try:
        return RouteTable.model_validate(table)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # Of a rule with a wrong field it is that field that should be told, not the right one that lacks.
        raise _error(min(found, key=lambda one: one["type"] == "missing"), text, source) from error


def _error(first: Any, text: str, source: str) -> RuleFileError:
    place: Sequence[str | int] = first["loc"]
    named = [str(part) for part in place if isinstance(part, str)]
    field = ".".join(part for part in named if part != "rules")
    if first["type"] == "extra_forbidden":
        known = ", ".join(RouteRule.model_fields)
        reason = f"unknown field {named[-1]!r}; a rule has {known}" if len(place) == 3 else "unknown field"
        if named[-1] == "adapters":
            reason = "several adapters by rule are not served yet; name one with `adapter`"
    elif first["type"] == "missing":
        reason = f"{named[-1]} is missing"
    else:
        reason = str(first["msg"]).removeprefix("Value error, ")
    line = _line(text, place)
    if (twice := _TWICE.search(reason)) is not None:
        line = [number for number, one in enumerate(text.splitlines(), 1) if twice[1] in one][1]
    return RuleFileError(source=source, line=line, field=field, reason=reason)


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
    for part in reversed(place[2:]):
        found = _line_of(lines[begin:end], str(part))
        if found is not None:
            return begin + found
    return begin


def _line_of(lines: Sequence[str], field: str) -> int | None:
    """The first line that gives this field a value, from 1 up."""
    given = re.compile(rf"^\s*(?:\[+\s*)?(?:[\w-]+\s*\.\s*)*[\"']?{re.escape(field)}[\"']?\s*(?:=|\]|\.)")
    return next((number for number, line in enumerate(lines, 1) if given.match(line)), None)
