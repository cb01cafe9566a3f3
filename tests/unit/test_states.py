"""The life of a job is one table: what it lists can happen, what it does not list cannot."""

from __future__ import annotations

import importlib
import inspect
import re
from itertools import product
from pathlib import Path

import pytest

from lorayard_schemas import headers
from lorayard_schemas.durable import DURABLE_MOVES, DurableMove, durable_table
from lorayard_schemas.failure import FAILURES, failure_table
from lorayard_schemas.result import ResultState
from lorayard_schemas.state import TRANSITIONS, IllegalTransitionError, JobState, diagram, is_final, move

DOCUMENT = Path(__file__).parents[2] / "docs" / "job-lifecycle.md"
CODE = re.compile(r'(?:\bcode=|RequestRefusedError\(\s*)"([a-z_]+)"')
LISTED = [(before, after) for before, moves in TRANSITIONS.items() for after in moves]
UNLISTED = [pair for pair in product(JobState, JobState) if pair not in LISTED]


@pytest.mark.parametrize(("before", "after"), LISTED)
def test_a_listed_move_is_made(before: JobState, after: JobState) -> None:
    assert move(before, after) is after


@pytest.mark.parametrize(("before", "after"), UNLISTED)
def test_an_unlisted_move_is_refused_and_changes_nothing(before: JobState, after: JobState) -> None:
    table = {state: dict(moves) for state, moves in TRANSITIONS.items()}
    with pytest.raises(IllegalTransitionError) as caught:
        move(before, after)
    assert (caught.value.before, caught.value.after) == (before, after)
    assert table == TRANSITIONS


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobState)


def test_final_states_are_those_of_results_and_lead_nowhere() -> None:
    """Exactly one answer: nothing leaves a state that has one."""
    assert {state.value for state in JobState if is_final(state)} == {state.value for state in ResultState}
    assert all(not TRANSITIONS[state] for state in JobState if is_final(state))


def test_every_state_can_be_reached_and_can_end() -> None:
    assert _reachable(JobState.QUEUED) == set(JobState)
    assert all(any(map(is_final, _reachable(state))) for state in JobState)


def _reachable(start: JobState) -> set[JobState]:
    found, frontier = {start}, [start]
    while frontier:
        new = set(TRANSITIONS[frontier.pop()]) - found
        found |= new
        frontier += new
    return found


def test_the_diagram_draws_every_move() -> None:
    drawn = diagram()
    assert all(f"    {before} --> {after}: " in drawn for before, after in LISTED)
    assert drawn.count("-->") == len(LISTED) + 1 + sum(map(is_final, JobState))


def test_the_document_shows_the_table_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    between = text.partition("<!-- states:begin -->")[2].partition("<!-- states:end -->")[0]
    assert between.strip() == f"```mermaid\n{diagram()}```"


def test_the_document_shows_the_durable_moves_as_they_are() -> None:
    assert _shown("durable") == durable_table().strip()


def test_the_document_shows_the_failures_as_they_are() -> None:
    assert _shown("failures") == failure_table().strip()


@pytest.mark.parametrize("row", DURABLE_MOVES, ids=lambda row: row.what)
def test_each_durable_move_is_made_where_it_says_and_with_its_guard(row: DurableMove) -> None:
    module, _, name = row.place.partition(":")
    source = inspect.getsource(importlib.import_module(module))
    constant = next(key for key, value in vars(headers).items() if value == row.guard)
    assert f"headers.{constant}" in source
    assert hasattr(importlib.import_module(module), name)


def test_every_code_of_a_failure_has_its_class() -> None:
    """What a program may meet stands in one table."""
    root = DOCUMENT.parents[1]
    sources = [
        path.read_text(encoding="utf-8")
        for part in ("workers", "shared", "dispatcher")
        for path in (root / part).rglob("*.py")
    ]
    found = {code for text in sources for code in CODE.findall(text)}
    assert len(found) > 15
    assert found - set(FAILURES) == set()


def _shown(name: str) -> str:
    text = DOCUMENT.read_text(encoding="utf-8")
    return text.partition(f"<!-- {name}:begin -->")[2].partition(f"<!-- {name}:end -->")[0].strip()
