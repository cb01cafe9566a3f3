"""`lorayard sim` answers what-if questions about recorded traffic, or says in one line why it can't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lorayard_cli
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.simulation.sizes import PREFILL_SHARE
from lorayard_cli.simulation.trace import TraceJob
from lorayard_cli.simulation.what_if import simulated
from lorayard_dispatcher.planning.values import BASE_GROUP

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def azure(tmp_path: Path) -> Path:
    """60 jobs in 30 seconds."""
    lines = [
        f"2023-11-16 18:15:{number // 2:02}.{number % 2 * 5}000000,{number + 1},20" for number in range(60)
    ]
    path = tmp_path / "azure.csv"
    path.write_text("\n".join(("TIMESTAMP,ContextTokens,GeneratedTokens", *lines)), encoding="utf-8")
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Three jobs of two adapters, and one of the base model."""
    lines = [
        {"at": at, "adapter": adapter, "prompt_tokens": 100, "completion_tokens": 10}
        for at, adapter in ((0, "a"), (1, "b"), (2, "a"), (3, None))
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path


def asked(capsys: Captured, *arguments: object) -> dict[str, Any]:
    """The document of a run that went well."""
    assert lorayard_cli.run(["sim", *map(str, arguments), "--json"]) == ExitCode.OK
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_every_router_asked_for_answers_for_all_jobs(azure: Path, capsys: Captured) -> None:
    found = asked(capsys, "--trace", azure, "--router", "pull_aff,round_robin", "--adapters", 5)
    assert (found["jobs"], found["seconds"], found["adapters_drawn"]) == (60, 29.5, True)
    assert found["adapters"] <= 5
    assert [row["router"] for row in found["routers"]] == ["pull_aff", "round_robin"]
    assert [(row["jobs"], row["unfinished"]) for row in found["routers"]] == [(60, 0), (60, 0)]


def test_the_same_question_has_the_same_answer(azure: Path, capsys: Captured) -> None:
    question = ("--trace", azure, "--router", "random", "--seed", 7)
    first, second = (asked(capsys, *question)["routers"][0] for _ in range(2))
    for timed in ("plan_milliseconds_p50", "plan_milliseconds_p99"):
        del first[timed], second[timed]
    assert first == second


def test_a_yards_own_adapters_and_base_model_jobs_are_kept(own: Path, capsys: Captured) -> None:
    found = asked(capsys, "--trace", own, "--router", "pull_aff", "--workers", 1)
    assert (found["adapters"], found["adapters_drawn"]) == (2, False)
    row = found["routers"][0]
    assert row["jobs"] == 4
    assert row["loads_per_1000"] == 500.0  # two adapters in four jobs, each loaded once


def test_a_smaller_or_busier_yard_waits_longer(azure: Path, capsys: Captured) -> None:
    small = ("--trace", azure, "--router", "pull_aff", "--rows", 1, "--slots", 1)
    calm, busy, fewer = (
        asked(capsys, *small, *more)["routers"][0]["waits"]["p95"]
        for more in (("--workers", 8), ("--workers", 8, "--speed", 10), ("--workers", 1))
    )
    assert calm < busy
    assert calm < fewer


def test_every_time_of_the_model_may_be_changed(azure: Path, capsys: Captured) -> None:
    tight = ("--trace", azure, "--router", "least_request", "--speed", 10, "--workers", 1, "--slots", 2)
    usual = asked(capsys, *tight)
    for option, slower in (
        ("--step-ms", 60),
        ("--row-ms", 30),
        ("--adapter-ms", 60),
        ("--host-ms", 500),
        ("--disk-ms", 3000),
        ("--no-staging", None),
    ):
        given = (option,) if slower is None else (option, slower)
        found = asked(capsys, *tight, *given)
        assert found["cluster"] != usual["cluster"]
        assert found["routers"][0]["makespan_seconds"] > usual["routers"][0]["makespan_seconds"]
    quicker = asked(capsys, *tight, "--stall", 0)
    assert quicker["routers"][0]["makespan_seconds"] < usual["routers"][0]["makespan_seconds"]


def test_what_a_trace_names_is_what_the_planner_knows_of(own: Path, capsys: Captured) -> None:
    row = asked(capsys, "--trace", own, "--router", "ours", "--workers", 1)["routers"][0]
    assert row["disk_per_1000"] == 500.0  # two adapters in four jobs; nothing that nobody asks for is read


def test_a_table_is_printed_for_people(own: Path, capsys: Captured) -> None:
    assert lorayard_cli.run(["sim", "--trace", str(own), "--router", "pull_aff"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "4 jobs in 3 s, 2 adapters (named), 8 workers; a model, not a measurement" in printed
    assert printed.splitlines()[-1].split()[0] == "pull_aff"


def test_a_poisoned_trace_is_one_error_with_its_line(azure: Path, capsys: Captured) -> None:
    azure.write_text(azure.read_text(encoding="utf-8") + "\n2023-11-16 18:16:00,-5,1\n", encoding="utf-8")
    assert lorayard_cli.run(["sim", "--trace", str(azure), "--json"]) == ExitCode.BAD_INPUT
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert (error["code"], error["field"]) == ("bad_trace", "trace")
    assert "line 62: ContextTokens" in error["message"]
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("router", "pull_aff,fastest"),
        ("router", ""),
        ("workers", 0),
        ("workers", 10**9),
        ("rows", -1),
        ("slots", 0),
        ("adapters", 0),
        ("speed", 0),
        ("speed", "nan"),
        ("zipf", "inf"),
        ("step-ms", -1),
        ("row-ms", -1),
        ("adapter-ms", "nan"),
        ("host-ms", "inf"),
        ("disk-ms", 1e9),
        ("stall", 1.5),
        ("lookahead", -1),
        ("host", 5),  # eight are in slots, and two on their way
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    azure: Path, capsys: Captured, option: str, value: object
) -> None:
    arguments = ["sim", "--trace", str(azure), f"--{option}={value}", "--json"]
    assert lorayard_cli.run(arguments) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["field"] == option.replace("-", "_")


def test_a_prompts_tokens_are_cheaper_than_those_written() -> None:
    recorded = [
        TraceJob(at=at, adapter=None, tenant="t", priority=2, prompt_tokens=prompt, completion_tokens=written)
        for at, prompt, written in ((0.0, 1000, 10), (4.0, 0, 0))
    ]
    first, second = simulated(recorded, speed=2.0)
    assert first.tokens == 10 + 1000 * PREFILL_SHARE
    assert second.tokens == 1.0  # even an empty answer takes a step
    assert (second.waiting.enqueued_at, second.waiting.priority, second.adapter) == (2.0, 2, BASE_GROUP)
    assert first.waiting.tokens == second.waiting.tokens == 15.0
