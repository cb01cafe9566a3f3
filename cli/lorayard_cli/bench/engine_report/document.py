"""The rows as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from lorayard_cli.bench.engine_report.costs import Times
from lorayard_cli.bench.engine_report.goals import NOT_MEASURED, Sense
from lorayard_cli.bench.engine_report.rows import Row, Seen
from lorayard_cli.bench.figures import as_map, spread, surroundings
from lorayard_cli.output import out, plain, table

FAIRNESS = (
    "One process, one torch thread, sides in turn, ratios of neighbouring moments, median of the rounds; "
    "`value` is by CPU time of the thread and judged, `wall` is by the clock. "
    "The trap of a frozen lm_head (matmul copies the whole weight for each row) is removed for every side. "
    "Prompts are equally long, so stock transformers and PEFT need no padding; their steps are the forward "
    "alone, the engine's hold its books and the choice of tokens too. "
    "PEFT keeps adapters in fp32, its default; `load_adapter` reads from disk, host → slot does not."
)

_DIGITS = 4


def make_document(seen: Seen, rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for `--json`; `about` says what was measured on."""
    return {
        "bench": "engine",
        **about,
        "fairness": FAIRNESS,
        "holds": all(row.holds is not False for row in rows),
        "rows": [_row_map(row) for row in rows],
        "not_measured": [asdict(row) for row in NOT_MEASURED],
        "cpu_ms": _milliseconds(seen.times),
        "slot_memory": asdict(seen.memory),
        "bleed": asdict(seen.bleed),
        **surroundings(),
        **{name: version(name) for name in ("torch", "transformers", "peft")},
    }


def print_document(document: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """For people."""
    out().print(plain(f"model: {document['model']}; {document['rounds']} rounds"))
    if document["amx_bf16"] is False:
        out().print("no AMX on this CPU: the musts were set on one that has it")
    numbers = ("ratio", "low", "high", "wall", "must", "stretch")
    shown = table("figure", *numbers, "holds", right=numbers)
    for row in rows:
        shown.add_row(row.goal.title, *_cells(row))
    out().print(shown)
    for row in rows:
        if row.note:
            out().print(plain(f"{row.goal.title}: {row.note}"))
    out().print("not measured:")
    for missing in NOT_MEASURED:
        out().print(plain(f"  {missing.title} (must {missing.must}): {missing.reason}"))


def _row_map(row: Row) -> dict[str, Any]:
    goal = row.goal
    return {
        "key": goal.key,
        "title": goal.title,
        "sense": str(goal.sense),
        "must": _rounded(goal.must),
        "stretch": _rounded(goal.stretch),
        "holds": row.holds,
        "reaches_stretch": row.reaches_stretch,
        "value": as_map(row.value, _DIGITS),
        "wall": None if row.wall is None else as_map(row.wall, _DIGITS),
        **({"note": row.note} if row.note else {}),
    }


def _cells(row: Row) -> tuple[str, ...]:
    sign = "≥" if row.goal.sense is Sense.AT_LEAST else "≤"
    verdict = {True: "yes", False: "NO", None: "-"}[row.holds]
    value = (row.value.median, row.value.low, row.value.high)
    wall = "-" if row.wall is None else f"{row.wall.median:.3g}"
    limits = ("-" if limit is None else f"{sign} {limit:.3g}" for limit in (row.goal.must, row.goal.stretch))
    return (*(f"{number:.3g}" for number in value), wall, *limits, verdict)


def _milliseconds(times: Times) -> dict[str, dict[str, float | int]]:
    """A step of each side, so that a reader can see what the ratios are made of."""
    return {
        str(kind): as_map(spread([cost.cpu_ms for cost in costs]), 2) for kind, costs in times.costs.items()
    }


def _rounded(limit: float | None) -> float | None:
    return None if limit is None else round(limit, _DIGITS)
