"""The rows as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from lorayard_cli.bench.engine_report.goals import Goal, Sense
from lorayard_cli.bench.engine_report.rows import NotMeasured, Row, Seen, not_measured, open_musts, verdict
from lorayard_cli.bench.figures import as_map, spread, surroundings
from lorayard_cli.output import out, plain, table

FAIRNESS = (
    "One torch thread, sides in turn, ratios of neighbouring moments, median of the rounds; `judged_by` says "
    "which time is `value`: CPU time of the working thread (steps) or process (end to end), or the wall "
    "clock on a GPU; `wall` is by the clock. Steps: the trap of a frozen lm_head (matmul copies the whole "
    "weight for each row) is removed for every side. Prompts are equally long, so stock transformers and "
    "PEFT need no padding; their steps are the forward alone, the engine's hold its books and the choice of "
    "tokens too. A greedy row's token is found exactly in both ways, but the engine, by "
    "its default, screens the vocabulary by an 8-bit copy of the output projection where that is faster "
    "(`screened_head`), while every other side computes all logits. Rows are judged with that default, and "
    "each row of steps has a twin, told, in which the engine computes all logits too; `LoRA on, unused` is "
    "judged so. PEFT keeps adapters in fp32, its default; `load_adapter` reads from disk, host → slot does "
    "not. End to end: the same tokens in and the same number out on every side, no prefix reuse anywhere, up "
    "to 16 rows; the engine screens the vocabulary here too, tokenizes prompts and makes text, the "
    "others are given ids and return ids."
)

NO_AMX = (
    "no AMX on this CPU: the musts were set on one that has it, where a step of 16 rows costs little more "
    "than one of a single row"
)

_DIGITS = 4


def make_document(seen: Seen, rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for `--json`; `about` says what was measured on."""
    return {
        "bench": "engine",
        **about,
        "fairness": FAIRNESS,
        "holds": verdict(seen, rows),
        "open_musts": [goal.key for goal in open_musts(seen, rows)],
        "rows": [row_map(row) for row in rows],
        "not_measured": [gap_map(gap) for gap in not_measured(seen)],
        "judged_by": str(seen.clock),
        "ms": _milliseconds(seen),
        "facts": {key: dict(figure.facts) for key, figure in seen.figures.items() if figure.facts},
        **surroundings(),
        **{name: version(name) for name in ("torch", "transformers", "peft")},
    }


def print_document(document: Mapping[str, Any], seen: Seen, rows: Sequence[Row]) -> None:
    """For people."""
    out().print(plain(f"model: {document['model']}; {document['rounds']} rounds"))
    if document["amx_bf16"] is False:
        out().print(plain(NO_AMX))
    numbers = ("ratio", "low", "high", "wall", "must", "stretch")
    shown = table("figure", *numbers, "holds", right=numbers)
    for row in rows:
        shown.add_row(row.goal.title, *_cells(row))
    out().print(shown)
    for row in rows:
        if row.note:
            out().print(plain(f"{row.goal.title}: {row.note}"))
    gaps = not_measured(seen)
    if gaps:
        out().print("not measured:")
    for gap in gaps:
        out().print(plain(f"  {gap.goal.title} (must {limit_text(gap.goal, gap.goal.must)}): {gap.reason}"))
    out().print(plain(_sentence(seen, rows)))


def _sentence(seen: Seen, rows: Sequence[Row]) -> str:
    """What the run as a whole says."""
    missed = [row.goal.title for row in rows if row.holds is False]
    if missed:
        return f"musts missed: {'; '.join(missed)}"
    left = [goal.title for goal in open_musts(seen, rows)]
    if left:
        return f"every must measured here holds; no full verdict, {len(left)} open: {'; '.join(left)}"
    return "every must holds"


def row_map(row: Row) -> dict[str, Any]:
    """A judged row for JSON."""
    return {
        **_goal_map(row.goal),
        "holds": row.holds,
        **({"holds_so_far": True} if row.holds_so_far else {}),
        "reaches_stretch": row.reaches_stretch,
        "value": as_map(row.value, _DIGITS),
        "wall": None if row.wall is None else as_map(row.wall, _DIGITS),
        **({"note": row.note} if row.note else {}),
    }


def gap_map(gap: NotMeasured) -> dict[str, Any]:
    """A goal without a figure for JSON."""
    return {**_goal_map(gap.goal), "reason": gap.reason}


def _goal_map(goal: Goal) -> dict[str, Any]:
    return {
        "key": goal.key,
        "title": goal.title,
        "sense": str(goal.sense),
        "must": _rounded(goal.must),
        "stretch": _rounded(goal.stretch),
    }


def limit_text(goal: Goal, limit: float | None) -> str:
    """A must or a stretch for people."""
    if limit is None:
        return "-"
    return f"{'≥' if goal.sense is Sense.AT_LEAST else '≤'} {limit:.3g}"


def _cells(row: Row) -> tuple[str, ...]:
    holds = "so far" if row.holds_so_far else {True: "yes", False: "NO", None: "-"}[row.holds]
    value = (row.value.median, row.value.low, row.value.high)
    wall = "-" if row.wall is None else f"{row.wall.median:.3g}"
    limits = (limit_text(row.goal, limit) for limit in (row.goal.must, row.goal.stretch))
    return (*(f"{number:.3g}" for number in value), wall, *limits, holds)


def _milliseconds(seen: Seen) -> dict[str, dict[str, Any]]:
    """What every side took, so that a reader can see what the ratios are made of."""
    return {
        str(kind): {
            "cpu": as_map(spread([cost.cpu_ms for cost in costs]), 2),
            "wall": as_map(spread([cost.wall_ms for cost in costs]), 2),
        }
        for kind, costs in seen.times.costs.items()
    }


def _rounded(limit: float | None) -> float | None:
    return None if limit is None else round(limit, _DIGITS)
