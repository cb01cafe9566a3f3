"""What `lorayard status` says of a dispatcher: trouble is named, and nothing else where there is none."""

from __future__ import annotations

import pytest
from rich.text import Text

from lorayard_cli.dispatcher_lines import dispatcher_lines
from lorayard_schemas.semantic import SemanticStatus
from lorayard_schemas.status import DispatcherStatus

WELL = DispatcherStatus(dispatcher="d1", started_at=0.0, seats=(0,), dispatchers=("d1",))


def test_one_that_is_well_has_one_line() -> None:
    (line,) = dispatcher_lines(WELL)
    assert "d1: 0 waiting for room, 0 handed over" in line


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"missing": ("YARD_TOKENS", "KV_yard_rules")}, ("YARD_TOKENS, KV_yard_rules", "doctor --mend")),
        ({"failures": 2}, ("2 of its tasks failed", "loop_failed")),
        (
            {"sessions": 3, "session_turns_kept": 7, "session_turns_moved": 1},
            ("3 in memory", "7 of 8 further turns"),
        ),
        ({"blind": True, "stale": 2, "workers": ("a", "b", "c")}, ("2 of 3 workers",)),
        ({"placements": 2, "placements_kept": 1, "misplaced": ("x@1",)}, ("1 of 2", "not yet x@1")),
        ({"seats": ()}, ("dispatchers",)),
    ],
)
def test_what_is_worth_a_line_has_one(said: dict[str, object], words: tuple[str, ...]) -> None:
    _, line = dispatcher_lines(WELL.model_copy(update=said))
    assert all(word in line for word in words)


def test_trouble_with_the_classifier_stands_in_80_columns() -> None:
    trouble = "the classifier 0123456789ab cannot be had: " + "its files are damaged " * 5
    told = SemanticStatus(trouble=trouble)
    _, *lines = dispatcher_lines(WELL.model_copy(update={"semantic": told}))
    shown = [Text.from_markup(line).plain for line in lines]
    assert len(shown) > 1
    assert all(len(line) <= 80 for line in shown)
    assert [line[:12].strip() for line in shown] == ["semantic", *[""] * (len(shown) - 1)]
    assert " ".join(line[12:] for line in shown) == trouble.strip()
