"""Every alert fires when it should, is silent when it should not, and says where to read on (F2)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.alerts.cases import CASES, MINUTES, Series

from lorayard_cli.monitoring.alert import Alert, rules_file
from lorayard_cli.monitoring.alerts import ALERTS
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.metrics.declared import DECLARED
from lorayard_shared.metrics.metric import Kind
from lorayard_shared.settings import YardSettings
from lorayard_workers.settings import WorkerSettings

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
RUNBOOK = ROOT / "docs" / "runbook.md"
KINDS = (YardSettings, DispatcherSettings, WorkerSettings, GatewaySettings)
PROMTOOL = shutil.which("promtool") or shutil.which(ROOT / ".promtool" / "usr" / "bin" / "promtool")

Json = dict[str, Any]

with_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not here: `make promtool` fetches it"
)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=120)


def test_the_file_is_that_of_the_code() -> None:
    made = rules_file(ALERTS)
    assert RULES.read_text(encoding="utf-8") == made, "python -m lorayard_cli.monitoring.alerts has it anew"


def test_the_paths_in_it_can_be_links() -> None:
    made = rules_file(ALERTS, "https://example.org/yard/main/")
    assert 'runbook_url: "https://example.org/yard/main/docs/runbook.md#lorayardbusdown"' in made


def test_every_alert_has_its_cases() -> None:
    assert [alert.name for alert in ALERTS] == list(CASES)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_asks_for_declared_metrics_and_labels(alert: Alert) -> None:
    """promtool takes any name: one that nobody exposes would never fire."""
    names = {metric.name: metric for metric in DECLARED}
    for metric in [metric for metric in DECLARED if metric.kind is Kind.HISTOGRAM]:
        names |= {f"{metric.name}_{part}": metric for part in ("bucket", "count")}
    asked = re.findall(r"(lorayard_\w+)(?:\{([^}]*)\})?", alert.expr)
    assert asked
    for name, chosen in asked:
        assert name in names
        assert {*re.findall(r"(\w+)=", chosen)} <= {*names[name].labels}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_section_of_the_runbook(alert: Alert) -> None:
    page, _, anchor = alert.runbook.partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    headings = re.findall(r"^### (Lorayard\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(alert.name for alert in ALERTS)


def test_the_runbooks_settings_and_metrics_exist() -> None:
    """Its commands are looked at with those of the other pages."""
    text = RUNBOOK.read_text(encoding="utf-8")
    settings = {f"LORAYARD_{name.upper()}" for kind in KINDS for name in kind.model_fields}
    assert {*re.findall(r"\bLORAYARD_[A-Z_]+\b", text)} - settings == set()
    assert {*re.findall(r"\blorayard_[a-z_]+\b", text)} - {metric.name for metric in DECLARED} == set()


@with_promtool
def test_promtool_takes_the_rules__f2() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def question(series: Series, *, firing: Sequence[Alert] = (), silent: Sequence[Alert] = ()) -> Json:
    """One test for promtool: what these series do."""
    expected = [(alert, 1) for alert in firing] + [(alert, 0) for alert in silent]
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}}) or vector(0)',
                "eval_time": f"{MINUTES}m",
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for alert, value in expected
        ],
    }


def write_tests(file: Path, rules: Path, tests: list[Json]) -> str:
    """In JSON, which promtool reads as YAML; its path."""
    document = {"rule_files": [str(rules)], "evaluation_interval": "15s", "tests": tests}
    file.write_text(json.dumps(document), encoding="utf-8")
    return str(file)


def run_tests(*files: str) -> str:
    """What promtool says of these."""
    done = promtool("test", "rules", *files)
    said = done.stdout + done.stderr
    assert said.count("Unit Testing:") == len(files), said
    assert (done.returncode == 0) == ("FAILED" not in said), said
    return said


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What promtool says of each alert's cases: one process for all, and of the rules each time only the one
    that is asked about, for it works out every rule that it has at every step."""
    folder = tmp_path_factory.mktemp("alerts")
    files: list[str] = []
    for alert in ALERTS:
        rules, case = folder / f"{alert.name}.yaml", CASES[alert.name]
        rules.write_text(rules_file([alert]), encoding="utf-8")
        tests = [question(case.fires, firing=[alert]), question(case.silent, silent=[alert])]
        if case.rare is not None:
            tests.append(question(case.rare, silent=[alert]))
        files.append(write_tests(folder / f"{alert.name}.json", rules, tests))
    said = run_tests(*files)
    return dict(zip(CASES, said.split("Unit Testing:")[1:], strict=True))


@with_promtool
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_fires_and_is_silent__f2(alert: Alert, verdicts: dict[str, str]) -> None:
    said = verdicts[alert.name]
    assert f"{alert.name}.json" in said
    assert "SUCCESS" in said, said
    assert "FAILED" not in said, said


@with_promtool
def test_a_yard_at_rest_fires_nothing__f2(tmp_path: Path) -> None:
    """Counters that stand still, no rows, no plans: rates over nothing."""
    still = {
        name: "5x60"
        for case in CASES.values()
        for name in case.fires
        if "_total" in name or "_bucket" in name or "_count" in name
    }
    still["lorayard_yard_up"] = "1x60"
    said = run_tests(write_tests(tmp_path / "rest.json", RULES, [question(still, silent=ALERTS)]))
    assert "SUCCESS" in said, said
