"""Figures in the documents are those that are kept."""

from __future__ import annotations

import pytest
from benchmarks.audit_cost import Seen, by_part, figures
from benchmarks.docs_tables import ROOT, TABLES, audit_table, read_results, view_table, with_table

from lorayard_cli.bench.bus import Kept

VIEW = {
    "refresh": {"page_ms": {"median": 81.4}, "client_ms": {"median": 92.0}},
    "depth": {"looks": 20, "right": 20, "told": 5, "told_right": 4, "at_rest": True},
    "lost": {"seconds": {"high": 4.25}},
    "deaf": {"seconds": {"high": 1.63, "must": 2.0}},
}
TOP = {"refresh": {"jobs": {"milliseconds": {"median": 30.0}}, "queues": {"milliseconds": {"median": 61.0}}}}


@pytest.mark.parametrize("name", TABLES)
def test_a_document_has_the_table_of_the_results_that_are_kept(name: str) -> None:
    path, make = TABLES[name]
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == with_table(text, name, make(read_results())), "run: python -m benchmarks.docs_tables"


def test_the_slowest_tab_and_the_worst_kill_count() -> None:
    table = view_table({"view": VIEW, "top": TOP})
    assert "| 61 ms |" in table
    assert "| 4.2 s |" in table
    assert "has it again, at most | 1.6 s | 2 s |" in table
    assert "watch" not in table, "it was recorded before that was measured"
    assert "| 24 of 25 | all |" in table
    assert "recorded yet" in view_table({})


def test_audit_records_are_judged_beside_yards_without_them_in_the_same_round() -> None:
    bare = [
        by_part({"client": 1.0, "bus": 100.0, "dispatcher": 200.0, "w1": 60.0, "w2": w2})
        for w2 in (40.0, 49.0)
    ]
    more = [{part: us + 10.0 for part, us in each.items()} for each in bare]
    seen = {kept: Seen(rates=[900.0, 1800.0], microseconds=more) for kept in Kept}
    seen[Kept.NONE] = Seen(rates=[1000.0, 2000.0], microseconds=bare)
    audit = {"jobs": 2, "date": "d", "cores": 2, "machine": "m", **figures(seen)}
    table = audit_table({"audit": audit})
    assert "| without records | 1,500 jobs/s | 200 µs | 104 µs | 100 µs | 406 µs |" in table
    cells, none = " | ".join(["+10 µs (+10 to +10)"] * 4), " | ".join(["+0 µs (+0 to +0)"] * 4)
    assert f"| decisions | 0.90 (0.90 to 0.90) | {cells} |" in table
    assert f"| outcomes | 1.00 (1.00 to 1.00) | {none} |" in table
    assert "recorded yet" in audit_table({})


def test_a_document_without_marks_is_named() -> None:
    with pytest.raises(ValueError, match="table view"):
        with_table("no marks", "view", "|")
