"""The table of rules of the bucket `yard_rules` as it was last seen."""

from __future__ import annotations

from collections.abc import Mapping

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.routes import RULES_KEY, RouteRule, RouteTable, Stage
from lorayard_schemas.rule_parts import USUAL_CHOICES
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.rules import by_stage, fits
from lorayard_shared.logs import Event, process_logger

_WITHOUT_RULES = frozenset({Stage.EXPLICIT, Stage.SESSION, Stage.DEFAULT})
"""Stages that can have an adapter by themselves."""


class RuleBook:
    """One table, kept up by a bucket watch."""

    def __init__(self) -> None:
        self.changes = 0
        """Since the start."""
        self._take(RouteTable())

    def on_change(self, key: str, value: bytes | None) -> bool:
        """Take one change of the bucket; whether the rules are other ones now.

        A table that cannot be read leaves the one there was: half of it would choose wrongly.
        """
        if key != RULES_KEY:
            return False
        try:
            table = decode(RouteTable, value) if value is not None else RouteTable()
        except MalformedMessageError as error:
            process_logger().error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            return False
        if table == self.table:
            return False  # listed anew
        self.put(table)
        return True

    def put(self, table: RouteTable) -> None:
        """Take another table."""
        self.changes += 1
        self._take(table)

    def first(self, stage: Stage, asked: Asked) -> RouteRule | None:
        """The rule of a stage that decides."""
        return next((rule for rule in self._rules.get(stage, ()) if fits(rule, asked)), None)

    def _stages(self, order: tuple[Stage, ...]) -> tuple[Stage, ...]:
        return tuple(stage for stage in order if stage in self._rules or stage in _WITHOUT_RULES)

    def _take(self, table: RouteTable) -> None:
        self.table = table
        self._rules: Mapping[Stage, tuple[RouteRule, ...]] = by_stage(table)
        at = table.order.index(Stage.SEMANTIC)
        self.before_meaning = self._stages(table.order[:at])
        self.after_meaning = self._stages(table.order[at + 1 :])
        """Stages that can have an adapter, before and after the classifier is asked."""
        self.conflict = table.settles
        self.adding = tuple(
            (rule, frozenset(rule.on or USUAL_CHOICES)) for rule in table.rules if not rule.chooses
        )
        """Rules that add to what was chosen, each with where that may have come from."""
