"""Boards as Grafana reads them, schema version 39 (Grafana 11 and later; those before read it too).

Written out by hand: of the libraries for it, Grafana's own is a preview without a `py.typed`, whose newest
release by its number is for the oldest Grafana; the other has had no release for years.
"""

from __future__ import annotations

import json
from typing import Any

from lorayard_cli.monitoring.alert import RUNBOOK
from lorayard_cli.monitoring.boards.board import WIDTH, Board, Look, Panel, Query, Row, Unit, Variable

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${source}"}
"""Whichever Prometheus the reader has chosen."""

TAG = "lorayard"

_KINDS = {
    Look.LINES: "timeseries",
    Look.STACK: "timeseries",
    Look.NUMBER: "stat",
    Look.BARS: "bargauge",
    Look.HEAT: "heatmap",
    Look.TABLE: "table",
}
_GREEN, _YELLOW, _RED = "green", "#EAB839", "red"


def board_file(board: Board, root: str = "") -> str:
    """The board as a file; `root` is where the repository can be read, as a link."""
    return json.dumps(_board(board, root.rstrip("/")), indent=2, ensure_ascii=False) + "\n"


def _board(board: Board, root: str) -> Json:
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": [TAG],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "timezone": "browser",
        "templating": {"list": [_source(), _docs(root), *(_variable(each) for each in board.variables)]},
        "annotations": {"list": [_alerts()]},
        "links": [_other_boards()],
        "panels": _panels(board.rows),
    }


def _source() -> Json:
    return {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }


def _docs(root: str) -> Json:
    """Where links into the documents lead."""
    chosen = {"text": root, "value": root}
    return {
        "name": "docs",
        "label": "Repository",
        "type": "textbox",
        "query": root,
        "current": chosen,
        "options": [{**chosen, "selected": True}],
        "hide": 2,
    }


def _variable(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "definition": variable.query,
        "regex": variable.pattern,
        "refresh": 2,  # with the time that is shown
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> Json:
    """Marks where an alert fired."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": _RED,
        "expr": 'ALERTS{alertstate="firing",alertname=~"Lorayard.*"}',
        "step": "30s",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{instance}} {{adapter}}",
        "tagKeys": "severity",
    }


def _other_boards() -> Json:
    return {
        "title": "Other boards",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }


def _panels(rows: tuple[Row, ...]) -> list[Json]:
    found: list[Json] = []
    y = 0
    for row in rows:
        found.append(_heading(row, len(found) + 1, y))
        y += 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            found.append(_panel(panel, len(found) + 1, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return found


def _heading(row: Row, number: int, y: int) -> Json:
    place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
    return {
        "id": number,
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "gridPos": place,
        "panels": [],
    }


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "id": number,
        "type": _KINDS[panel.look],
        "title": panel.title,
        "description": _about(panel),
        "gridPos": place,
        "datasource": SOURCE,
        "targets": [_target(panel, query, number) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
        "links": [_link(alert) for alert in panel.alerts],
        **({"transformations": _columns()} if panel.look is Look.TABLE else {}),
    }


def _about(panel: Panel) -> str:
    """With the alerts by name, for whoever has no link."""
    if not panel.alerts:
        return panel.about
    return f"{panel.about}\n\nIn {RUNBOOK}: {', '.join(panel.alerts)}."


def _link(alert: str) -> Json:
    url = f"${{docs}}/{RUNBOOK}#{alert.lower()}"
    return {"title": f"Runbook: {alert}", "url": url, "targetBlank": True}


def _target(panel: Panel, query: Query, number: int) -> Json:
    at_once = panel.look in (Look.NUMBER, Look.BARS, Look.TABLE)
    kinds = {Look.HEAT: "heatmap", Look.TABLE: "table"}
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or panel.title,
        "format": kinds.get(panel.look, "time_series"),
        "instant": at_once,
        "range": not at_once,
    }


def _field(panel: Panel) -> Json:
    """Unit, scale and lines."""
    defaults: Json = {"unit": panel.unit.value, "min": 0, "thresholds": _thresholds(panel)}
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.look in (Look.LINES, Look.STACK):
        stacked = panel.look is Look.STACK
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 40 if stacked else 8,
            "showPoints": "never",
            "spanNulls": False,
            "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if _lines(panel) else "off"},
        }
    if panel.unit is Unit.YES:
        defaults["mappings"] = [
            {"type": "value", "options": {"0": {"text": "no", "index": 0}, "1": {"text": "yes", "index": 1}}}
        ]
    return defaults


def _lines(panel: Panel) -> list[tuple[float, str]]:
    given = ((panel.warning, _YELLOW), (panel.critical, _RED))
    return [(value, colour) for value, colour in given if value is not None]


def _thresholds(panel: Panel) -> Json:
    """Grafana's steps rise, and each colours what lies above it."""
    lines = _lines(panel)
    if panel.below:  # what lies under the lowest line is worst
        falling = sorted(lines)
        colours = [colour for _, colour in falling] + [_GREEN]
        steps = [(None, colours[0]), *((value, colours[n + 1]) for n, (value, _) in enumerate(falling))]
    else:
        steps = [(None, _GREEN), *sorted(lines)]
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _options(panel: Panel) -> Json:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    match panel.look:
        case Look.LINES | Look.STACK:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case Look.NUMBER:
            return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "none", "textMode": "value"}
        case Look.BARS:
            return {"reduceOptions": reduced, "orientation": "horizontal", "displayMode": "basic"}
        case Look.HEAT:
            return {"calculate": False, "yAxis": {"unit": panel.unit.value}, "color": {"scheme": "Oranges"}}
        case Look.TABLE:
            return {"showHeader": True}


def _columns() -> list[Json]:
    """The labels, without the moment and the number."""
    return [{"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}]
