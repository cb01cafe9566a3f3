"""What a classifier gets right and takes for something else, in 80 columns and as a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lorayard_cli.output import counted
from lorayard_schemas.semantic import SemanticRecord

if TYPE_CHECKING:
    from lorayard_shared.semantic.evaluation import Evaluation

COLUMNS = 80
ABSTAINED = "abstained"
NAME_COLUMNS = 32
MISTAKEN = 2
"""Wrong choices named in a row; the document has all."""


def figures_line(record: SemanticRecord) -> str:
    """Cross-validated, in one line."""
    found = record.figures
    right = "-" if found.accuracy is None else f"{found.accuracy:.1%}"
    share = found.decided / found.examples if found.examples else 0.0
    of = f"{counted(found.examples, 'example')} of {counted(len(record.labels), 'adapter')}"
    return (
        f"cross-validated on {of}: "
        f"{share:.1%} decided, {right} of those right (threshold {record.threshold:.2f})"
    )


def evaluation_lines(found: Evaluation, threshold: float) -> Iterator[str]:
    """For people."""
    if not found.examples:
        yield f"nothing to judge: all {len(found.left_out)} prompts were learnt; give others"
        return
    head = f"{'prompts for':<{NAME_COLUMNS}} {'n':>4} {'right':>5} {ABSTAINED:>9}  taken for"
    yield head
    for label, row in sorted(found.confusion.items()):
        yield _row(label, row)
    right = "-" if found.accuracy is None else f"{found.accuracy:.1%}"
    yield (
        f"{found.decided} of {found.examples} decided, {right} of those right; {found.abstained} abstained "
        f"(threshold {threshold:.2f})"[:COLUMNS]
    )
    if found.left_out:
        yield f"{len(found.left_out)} prompts were learnt, and are left out"
    if found.unknown:
        yield f"not known to the classifier: {', '.join(map(_short, found.unknown))}"


def _row(label: str, row: Mapping[str, int]) -> str:
    # Of a prompt for no adapter the right answer is none.
    right = row.get(ABSTAINED if label == "none" else label, 0)
    wrong = sorted(
        ((count, name) for name, count in row.items() if name not in (label, ABSTAINED)),
        key=lambda one: (-one[0], one[1]),
    )
    named = ", ".join(f"{_task(name)} {count}" for count, name in wrong[:MISTAKEN])
    more = f", +{len(wrong) - MISTAKEN}" if len(wrong) > MISTAKEN else ""
    total, abstained = sum(row.values()), row.get(ABSTAINED, 0)
    line = f"{_short(label):<{NAME_COLUMNS}} {total:>4} {right:>5} {abstained:>9}  {named}{more}"
    return line.rstrip()[:COLUMNS]


def _short(label: str) -> str:
    """The end of a name says more than its beginning."""
    return label if len(label) <= NAME_COLUMNS else f"...{label[3 - NAME_COLUMNS :]}"


def _task(label: str) -> str:
    return label.rpartition("/")[2]


def evaluation_document(found: Evaluation, digest: str, revision: int | None) -> dict[str, object]:
    """With the whole table."""
    return {
        "artifact": digest,
        "revision": revision,
        "examples": found.examples,
        "decided": found.decided,
        "correct": found.correct,
        "accuracy": found.accuracy,
        "abstained": found.abstained,
        "rightly_abstained": found.rightly_abstained,
        "calibration_error": found.calibration_error,
        "confusion": {label: dict(row) for label, row in found.confusion.items()},
        "left_out": len(found.left_out),
        "unknown": list(found.unknown),
    }
