"""Figures in the documents are those that are kept."""

from __future__ import annotations

import pytest
from benchmarks.docs_tables import ROOT, TABLES, read_results, view_table, with_table

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


def test_a_document_without_marks_is_named() -> None:
    with pytest.raises(ValueError, match="table view"):
        with_table("no marks", "view", "|")
