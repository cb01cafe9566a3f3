"""Adds what rules say to what was chosen, and remembers what came of it: many jobs get the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from lorayard_schemas.routes import RouteRule
from lorayard_schemas.rule_parts import Conflict
from lorayard_shared.jobs.added import with_added
from lorayard_shared.jobs.compose import REMEMBERED
from lorayard_shared.jobs.layer import Find
from lorayard_shared.jobs.resolve import Added, Resolution, UnknownAdapterError


class Adder:
    """What came of additions to single adapters, while nothing has changed that decides on it."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Resolution] = {}
        self._at: Hashable = None

    def add(
        self,
        chosen: Resolution,
        rules: Sequence[RouteRule],
        conflict: Conflict,
        find: Find,
        *,
        tenant: str,
        at: Hashable,
    ) -> Resolution:
        """As `with_added`; `at` is another one whenever registry, aliases or rules have changed.

        Raises:
            UnknownAdapterError, BadCompositionError: as there.
        """
        if chosen.composition is not None or chosen.added is not None:
            return with_added(chosen, rules, conflict, find)
        if at != self._at or len(self._known) >= REMEMBERED:
            self._known.clear()
            self._at = at
        key = _key(chosen, rules, find, tenant)
        made = self._known.get(key)
        if made is None:
            made = self._known[key] = with_added(chosen, rules, conflict, find)
        if made.added is None:
            return chosen
        under = chosen if made.added.under is not None else None
        return Resolution(
            record=made.record,
            rule=chosen.rule,
            alias=made.alias,
            composition=made.composition,
            verdict=chosen.verdict,
            added=Added(additions=made.added.additions, under=under),
        )


def _key(chosen: Resolution, rules: Sequence[RouteRule], find: Find, tenant: str) -> Hashable:
    record, alias = chosen.record, chosen.alias
    drawn = [_version(find, part.adapter) for rule in rules for part in rule.parts]
    return (
        None if record is None else (record.name, record.version, None if alias is None else alias.name),
        tuple([rule.name for rule in rules]),
        tuple(drawn),
        # Why one is not there may tell what else there is: to this tenant.
        tenant if None in drawn else None,
    )


def _version(find: Find, spec: str) -> str | None:
    """What a name stands for now; None: nothing."""
    try:
        record, _ = find(spec)
    except UnknownAdapterError:
        return None
    return record.version
