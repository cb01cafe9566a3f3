"""What a board shows, before it is Grafana's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

WIDTH = 24
"""Of a board, in Grafana's columns."""


class Look(StrEnum):
    """How a panel draws its series."""

    LINES = "lines"
    STACK = "stack"
    """Parts of one whole, over time."""
    NUMBER = "number"
    """How it is now."""
    BARS = "bars"
    """Which are the greatest, over all of the time shown."""
    HEAT = "heat"
    """A histogram's buckets over time."""
    TABLE = "table"


class Unit(StrEnum):
    """Grafana's names of what 1 is."""

    COUNT = "short"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"
    PER_SECOND = "ops"
    YES = "bool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question to Prometheus."""

    expr: str
    legend: str = ""
    """With Grafana's `{{label}}`; empty: the panel's title."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    about: str
    """What it shows and how to read it, in a sentence or two."""
    queries: tuple[Query, ...]
    unit: Unit = Unit.COUNT
    look: Look = Look.LINES
    alerts: tuple[str, ...] = ()
    """Whose sections of the runbook say what to do."""
    warning: float | None = None
    critical: float | None = None
    """Lines to stay below; where `below` is set, above."""
    below: bool = False
    most: float | None = None
    """The end of the scale."""
    width: int = 8
    height: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What a reader may choose above the board; all of it at first."""

    name: str
    label: str
    query: str
    """Of Grafana's own kind: `label_values` or `query_result`."""
    pattern: str = ""
    """Of a `query_result`: a regular expression with the groups `text` and `value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One page."""

    uid: str
    """In links, and the name of its file."""
    title: str
    about: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Of all rows."""
        return tuple(panel for row in self.rows for panel in row.panels)
