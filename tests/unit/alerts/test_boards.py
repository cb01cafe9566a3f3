"""Grafana's boards ask for what there is, and say what they show (F3)."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from lorayard_cli.monitoring.alerts import ALERTS
from lorayard_cli.monitoring.boards.adapters import ADAPTER_BOARD
from lorayard_cli.monitoring.boards.all import BOARDS
from lorayard_cli.monitoring.boards.board import WIDTH, Board, Look, Panel, Query, Row, Unit
from lorayard_cli.monitoring.boards.grafana import board_file
from lorayard_shared.metrics.declared import DECLARED
from lorayard_shared.metrics.metric import Kind, Metric

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "grafana" / "boards"

GIVEN = {"instance", "yard", "le", "name"}
"""Labels that scrape configurations, histograms and joins bring."""

EVERYBODYS = {
    "ALERTS",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
}
"""Prometheus' own, and those of prometheus-client."""

NAMES: dict[str, Metric] = {
    f"{metric.name}{part}": metric
    for metric in DECLARED
    for part in (("_bucket", "_count", "_sum") if metric.kind is Kind.HISTOGRAM else ("",))
}

EVERY = [(board, panel) for board in BOARDS for panel in board.panels]


def name_of(value: object) -> str:
    return value.uid if isinstance(value, Board) else value.title if isinstance(value, Panel) else ""


every_panel = pytest.mark.parametrize(("board", "panel"), EVERY, ids=name_of)


def made(board: Board, root: str = "") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(board_file(board, root))
    return document


@pytest.mark.parametrize("board", BOARDS, ids=name_of)
def test_the_files_are_those_of_the_code(board: Board) -> None:
    file = FOLDER / f"{board.uid}.json"
    anew = "python -m lorayard_cli.monitoring.boards deploy/grafana/boards"
    assert file.read_text(encoding="utf-8") == board_file(board), f"{anew} has it anew"


def test_no_file_is_of_a_board_that_is_gone() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {board.uid for board in BOARDS}


def test_there_are_a_dozen_panels_of_adapters_and_more__f3() -> None:
    assert len(ADAPTER_BOARD.panels) >= 12


@every_panel
def test_a_panel_asks_for_declared_metrics_and_labels__f3(board: Board, panel: Panel) -> None:
    for query in panel.queries:
        asked = re.findall(r"\b([a-z_]+(?:_[a-z]+)+|ALERTS)\{([^}]*)\}", query.expr)
        assert asked, query.expr
        labels = set[str](GIVEN)
        for name, matchers in asked:
            assert name in NAMES.keys() | EVERYBODYS
            own = {*NAMES[name].labels} if name in NAMES else {"alertstate", "alertname"}
            assert {*re.findall(r"(\w+)[=!]", matchers)} <= own | GIVEN
            labels |= own
        for words in re.findall(r"\b(?:by|on|ignoring|group_left) ?\(([^)]*)\)", query.expr):
            assert {word.strip() for word in words.split(",")} <= labels
        shown = re.findall(r"\{\{(\w+)\}\}", query.legend)
        grouped = " ".join(re.findall(r"(?:by|group_left) ?\(([^)]*)\)", query.expr))
        assert all(label in grouped for label in shown), query


@every_panel
def test_a_panel_heeds_what_the_reader_has_chosen(board: Board, panel: Panel) -> None:
    for query in panel.queries:
        for name, matchers in re.findall(r"\b(lorayard_\w+)\{([^}]*)\}", query.expr):
            assert 'yard=~"$yard"' in matchers
            if board is ADAPTER_BOARD and "adapter" in NAMES[name].labels:
                assert 'adapter=~"$adapter"' in matchers
        known = {f"${variable.name}" for variable in board.variables} | {"$__rate_interval", "$__range"}
        assert {*re.findall(r"\$\w+", query.expr)} <= known


@every_panel
def test_a_panel_says_what_it_shows_and_what_to_do(board: Board, panel: Panel) -> None:
    assert panel.about.endswith(".")
    assert {*panel.alerts} <= {alert.name for alert in ALERTS}


def test_every_alert_has_a_panel_that_shows_it() -> None:
    shown = {alert for _, panel in EVERY for alert in panel.alerts}
    assert {alert.name for alert in ALERTS} - shown == set()


@pytest.mark.parametrize("board", BOARDS, ids=name_of)
def test_no_two_panels_lie_on_each_other_and_none_beyond_the_edge(board: Board) -> None:
    document = made(board)
    places = [panel["gridPos"] for panel in document["panels"]]
    assert all(place["x"] + place["w"] <= WIDTH for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert len({panel["id"] for panel in document["panels"]}) == len(places)


@pytest.mark.parametrize("board", BOARDS, ids=name_of)
def test_a_board_names_its_source_by_the_readers_choice_and_marks_alerts(board: Board) -> None:
    document = made(board, "https://example.org/yard/main/")
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    assert all(panel["datasource"]["uid"] == "${source}" for panel in panels)
    variables = {each["name"]: each for each in document["templating"]["list"]}
    assert variables["docs"]["query"] == "https://example.org/yard/main"
    links = [link["url"] for panel in panels for link in panel["links"]]
    assert all(re.fullmatch(r"\$\{docs\}/docs/runbook\.md#lorayard[a-z]+", link) for link in links)
    assert "ALERTS" in document["annotations"]["list"][0]["expr"]


def shown(**given: Any) -> dict[str, Any]:
    """One panel as Grafana reads it."""
    panel = Panel(title="T", about="A.", queries=(Query(expr="x"),), **given)
    board = Board(uid="u", title="t", about="a", variables=(), rows=(Row(title="r", panels=(panel,)),))
    document: dict[str, Any] = made(board)["panels"][1]
    return document


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({}, [(None, "green")]),
        ({"warning": 1.0}, [(None, "green"), (1.0, "#EAB839")]),
        ({"warning": 0.5, "critical": 1.0}, [(None, "green"), (0.5, "#EAB839"), (1.0, "red")]),
        ({"warning": 0.8, "critical": 0.7, "below": True}, [(None, "red"), (0.7, "#EAB839"), (0.8, "green")]),
        ({"critical": 1.0, "below": True}, [(None, "red"), (1.0, "green")]),
    ],
)
def test_what_is_worse_is_redder(given: dict[str, Any], steps: list[tuple[float | None, str]]) -> None:
    found = shown(**given)["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in found] == steps


def test_a_number_is_asked_for_now_and_a_line_over_time() -> None:
    now, over_time = shown(look=Look.NUMBER)["targets"][0], shown()["targets"][0]
    assert (now["instant"], now["range"]) == (True, False)
    assert (over_time["instant"], over_time["range"]) == (False, True)
    assert shown(look=Look.HEAT, unit=Unit.SECONDS)["targets"][0]["format"] == "heatmap"
