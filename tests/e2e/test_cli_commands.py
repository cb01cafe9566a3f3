"""The commands a user types beside a running yard, and what they print for programs."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import (
    CLEAN_ENVIRONMENT,
    START_SECONDS,
    STOP_SECONDS,
    Ran,
    Up,
    command,
    lorayard,
    start_up,
    wait_until,
)

from lorayard_cli.exit_codes import ExitCode
from lorayard_shared.bus.connection import connect
from lorayard_shared.bus.heard import Heard
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.e2e

NOBODY = ("--url", "nats://127.0.0.1:1")


def test_submit_and_wait_prints_the_answer_and_who_made_it(up: Up) -> None:
    ran = up.run("submit", "--adapter", "acme/tiny/a", "--wait", "--json", "Hello yard")
    assert ran.exit_code == ExitCode.OK, ran.err
    answer = ran.document
    assert (answer["state"], answer["text"]) == ("succeeded", "Hello yard")
    assert (answer["adapter"], answer["version"], answer["rule"]) == ("acme/tiny/a", "1", "explicit")
    assert answer["digest"].startswith("sha256:")
    assert answer["worker"] in {"w1", "w2"}
    assert answer["tier"] in {"slot", "host", "disk"}
    assert {"waited_ms", "load_ms", "total_ms"} <= answer["timings"].keys()


def test_without_json_stdout_has_the_text_alone(up: Up) -> None:
    ran = up.run("submit", "--adapter", "acme/tiny/a@1", "--wait", "Just [bold]this[/]")
    assert ran.out == "Just [bold]this[/]\n"
    assert "acme/tiny/a@1" in ran.err


def test_a_prompt_comes_from_stdin_or_a_file(up: Up) -> None:
    (up.folder / "prompt.txt").write_text("From a file", encoding="utf-8")
    assert up.run("submit", "--wait", "-", stdin="From stdin").out == "From stdin\n"
    assert up.run("submit", "--wait", "--file", "prompt.txt").out == "From a file\n"


def test_submit_takes_a_schema_from_a_file_and_asks_for_logprobs(up: Up) -> None:
    """An echo worker heeds neither: this is about the way there."""
    (up.folder / "schema.json").write_text('{"type": "object"}', encoding="utf-8")
    options = ("--json-schema", "schema.json", "--min-p", "0.1", "--logprobs", "2")
    answer = up.run("submit", "--wait", "--json", *options, "Hi").document
    assert answer["state"] == "succeeded"
    assert answer["logprobs"] is None
    assert answer["usage"]["cached_tokens"] == 0


def test_a_job_is_fetched_later_by_its_id(up: Up) -> None:
    job = up.run("submit", "--json", "Later").document["job"]
    fetched = up.run("result", job, "--wait", "--json", "--timeout", "20")
    assert fetched.document["text"] == "Later"
    assert up.run("result", job).out == "Later\n"


def test_an_answer_is_printed_while_it_is_written_and_a_job_is_followed__e2(up: Up) -> None:
    ran = up.run("submit", "--stream", "--adapter", "acme/tiny/a", "One [bold]after[/] the other")
    assert (ran.exit_code, ran.out) == (ExitCode.OK, "One [bold]after[/] the other\n")
    assert "acme/tiny/a@1" in ran.err
    *events, result = up.run("submit", "--stream", "--json", "Told").lines
    assert (events[0]["kind"], events[-1]["kind"], result["text"]) == ("started", "ended", "Told")
    followed = up.run("events", result["job"], "--after", str(events[0]["sequence"]), "--json")
    assert followed.exit_code == ExitCode.OK
    assert [event["kind"] for event in followed.lines] == [event["kind"] for event in events[1:]]
    assert "'Told'" in up.run("events", result["job"]).out


def test_the_same_idempotency_key_gives_the_same_job(up: Up) -> None:
    first, second = (up.run("submit", "--json", "--idempotency-key", "k1", "Once").document for _ in range(2))
    assert first["job"] == second["job"]


def test_a_job_nobody_knows_has_no_result(up: Up) -> None:
    assert up.run("result", "nosuchjob", "--json").exit_code == ExitCode.NOT_READY
    waited = up.run("result", "nosuchjob", "--wait", "--timeout", "0.3", "--json")
    assert waited.exit_code == ExitCode.TIMED_OUT
    assert waited.document["error"]["code"] == "timed_out"


def test_explain_says_in_one_line_why_a_job_went_where_it_went(up: Up) -> None:
    ran = up.run("submit", "--adapter", "acme/tiny/a", "--wait", "--json", "Top secret")
    job, worker = ran.document["job"], ran.document["worker"]

    def document() -> dict[str, Any]:
        return up.run("explain", job, "--json").document

    wait_until(lambda: bool(document()["records"]), "the decision is written down")
    told = document()
    assert (told["state"], told["worker"], told["attempt"]) == ("finished", worker, 1)
    assert told["records"][0]["adapter"]["name"] == "acme/tiny/a"
    text = up.run("explain", job)
    assert (text.exit_code, text.out.count("\n")) == (ExitCode.OK, 1)
    assert f"job {job} succeeded" in text.out
    assert f"at worker {worker}; it went there after" in text.out
    assert "secret" not in text.out + json.dumps(told)


def test_explain_of_a_job_that_left_no_trace_fails_and_says_where_it_looked(up: Up) -> None:
    ran = up.run("explain", "nobody", "--tenant", "other", "--json")
    assert ran.exit_code == ExitCode.FAILED
    assert ran.document["error"]["code"] == "unknown_job"
    assert "job nobody of tenant other has left no trace: no dispatcher has it" in ran.err
    assert up.run("explain", "no.such.id").exit_code == ExitCode.BAD_INPUT


def test_a_finished_job_cannot_be_cancelled(up: Up) -> None:
    job = up.run("submit", "--json", "--wait", "Done").document["job"]
    late = up.run("cancel", job, "--json")
    assert (late.exit_code, late.document["outcome"]) == (ExitCode.FAILED, "finished")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        pytest.param(
            ("--adapter", "acme/tiny/nobody", "Hi"),
            ExitCode.UNKNOWN_ADAPTER,
            "acme/tiny/nobody",
            id="unknown",
        ),
        pytest.param(
            ("--adapter", "acme/tiny/a@9", "Hi"), ExitCode.UNKNOWN_ADAPTER, "9", id="no such version"
        ),
        pytest.param(
            ("--adapter", "Not An Adapter", "Hi"), ExitCode.BAD_INPUT, "Not An Adapter", id="no name"
        ),
        pytest.param(("",), ExitCode.BAD_INPUT, "prompt", id="empty prompt"),
        pytest.param(("--max-new-tokens", "0", "Hi"), ExitCode.BAD_INPUT, "max_new_tokens", id="no tokens"),
        pytest.param(("--file", "nowhere.txt"), ExitCode.BAD_INPUT, "nowhere.txt", id="no such file"),
        pytest.param(
            ("--json-schema", "none.json", "Hi"), ExitCode.BAD_INPUT, "none.json", id="no such schema"
        ),
        pytest.param(("--min-p", "2", "Hi"), ExitCode.BAD_INPUT, "min_p", id="min-p"),
        pytest.param(("--logprobs", "99", "Hi"), ExitCode.BAD_INPUT, "logprobs", id="logprobs"),
        pytest.param(("--wiat",), ExitCode.USAGE, "--wiat", id="mistyped option"),
        pytest.param(("--lane", "slow", "Hi"), ExitCode.USAGE, "--lane", id="no such lane"),
    ],
)
def test_bad_input_is_one_clear_line_with_its_own_exit_code(
    up: Up, arguments: tuple[str, ...], exit_code: ExitCode, said: str
) -> None:
    ran = up.run("submit", "--wait", "--json", *arguments)
    assert ran.exit_code == exit_code, ran.err
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert ran.document["error"]["message"]


@pytest.mark.parametrize(
    "arguments",
    [("submit", "Hi"), ("status",), ("adapters", "ls"), ("workers", "ls"), ("result", "j"), ("cancel", "j")],
    ids=" ".join,
)
def test_no_bus_is_one_clear_line_with_its_own_exit_code(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = lorayard(*arguments, *NOBODY, "--json", cwd=tmp_path)
    assert ran.exit_code == ExitCode.NO_BUS
    assert ran.document["error"]["code"] == "no_bus"
    assert "lorayard up" in ran.err
    assert "Traceback" not in ran.err


def test_the_listings_show_adapters_and_workers(up: Up) -> None:
    adapters = up.run("adapters", "ls", "--json").document["adapters"]
    names = [adapter["name"] for adapter in adapters]
    assert names[:3] == ["acme/tiny/a", "acme/tiny/b", "acme/tiny/c"], "others may have been pushed since"
    assert names == sorted(names)
    assert "acme/tiny/b" in up.run("adapters", "ls").out
    workers = up.run("workers", "ls", "--json").document["workers"]
    assert [worker["worker"] for worker in workers] == ["w1", "w2"]
    assert "w2" in up.run("workers", "ls").out


def test_status_tells_queue_dispatcher_workers_and_hit_rate(up: Up) -> None:
    up.run("submit", "--wait", "--adapter", "acme/tiny/c", "Hi")
    ran: list[Ran] = []

    def is_through() -> bool:
        ran.append(up.run("status", "--json"))
        return not ran[-1].document["queue"]["unfinished"]

    wait_until(is_through, "the job has left its queue, a moment after its answer")
    assert ran[-1].exit_code == ExitCode.OK
    status = ran[-1].document
    assert status["url"] == up.state["url"]
    assert status["dispatcher"]["handed_over"] >= 1
    assert [worker["worker"] for worker in status["workers"]] == ["w1", "w2"]
    assert "hit rate" in up.run("status").out


def test_doctor_finds_a_healthy_yard_healthy(up: Up) -> None:
    ran = up.run("doctor", "--json", "--adapters", ".lorayard/tiny-adapters")
    assert ran.exit_code == ExitCode.OK, ran.out
    levels = {finding["check"]: finding["level"] for finding in ran.document["findings"]}
    assert {levels[check] for check in ("bus", "server version", "jetstream", "declarations")} == {"ok"}
    assert {levels[check] for check in ("dispatcher", "workers", "base model", "adapters")} == {"ok"}


def test_doctor_names_a_broken_adapter_folder_and_what_mends_it(up: Up, tmp_path: Path) -> None:
    broken = tmp_path / "acme" / "tiny" / "torn" / "1"
    broken.mkdir(parents=True)
    (broken / "adapter_config.json").write_text("{", encoding="utf-8")
    ran = up.run("doctor", "--json", "--adapters", str(tmp_path))
    assert ran.exit_code == ExitCode.FAILED
    (finding,) = [finding for finding in ran.document["findings"] if finding["check"] == "adapters"]
    assert str(broken) in finding["message"]
    assert finding["mend"]


def test_an_adapter_that_workers_refuse_shows_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "adapters" / "acme" / "tiny" / "broken" / "1"
    broken.mkdir(parents=True)
    (broken / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 1, "lora_alpha": 1}))
    (broken / "adapter_model.bin").write_bytes(b"a pickle")
    up = start_up(tmp_path, "--adapters", "adapters")
    try:
        (refused,) = up.run("adapters", "ls", "--json").document["refused"]
        findings = up.run("doctor", "--json").document["findings"]
        answer = up.run("submit", "--wait", "--json", "--adapter", "acme/tiny/broken", "Hi")
        assert "refused" in up.run("adapters", "ls").out
    finally:
        up.end()
    assert (refused["name"], refused["version"], refused["state"]) == ("acme/tiny/broken", "1", "refused")
    assert refused["workers"] == ["w1", "w2"]
    assert refused["reason"]
    (finding,) = [finding for finding in findings if finding["check"] == "refused adapters"]
    assert "acme/tiny/broken@1" in finding["message"]
    assert refused["reason"] in finding["message"]
    assert finding["mend"]
    assert [f["level"] for f in findings if f["check"] == "adapters"] == ["fail"], "the yard's own folder"
    assert answer.exit_code == ExitCode.UNKNOWN_ADAPTER
    assert refused["reason"] in answer.document["error"]["message"]


def test_doctor_reports_and_mends_a_missing_stream(up: Up) -> None:
    """Another prefix on the same bus: nothing of it is declared yet."""
    other = ("--prefix", "other", "--json")
    ran = up.run("doctor", *other)
    assert ran.exit_code == ExitCode.FAILED
    assert any("OTHER_JOBS is missing" in finding["message"] for finding in ran.document["findings"])
    mended = up.run("doctor", "--mend", *other).document["findings"]
    assert [f["level"] for f in mended if f["check"] == "declarations"] == ["ok"]


def test_doctor_without_a_bus_says_so_and_looks_at_the_machine(tmp_path: Path) -> None:
    ran = lorayard("doctor", *NOBODY, "--json", cwd=tmp_path)
    assert ran.exit_code == ExitCode.NO_BUS
    assert {"bus", "model", "data folder"} <= {finding["check"] for finding in ran.document["findings"]}


async def test_ctrl_c_ends_a_wait_cleanly_and_says_how_to_come_back(up: Up) -> None:
    """The job does not exist, so the wait would never end."""
    waits = asyncio.Event()

    def hear(look: Heard) -> None:
        if look.subject.endswith(".neverjob"):
            waits.set()

    async with await connect(YardSettings(url=up.state["url"]), name="hears") as bus:
        await bus.nc.hear("$JS.API.DIRECT.GET.>", hear)
        await bus.nc.flush()
        waiting = await asyncio.create_subprocess_exec(
            *command("result", "neverjob", "--wait"),
            cwd=up.folder,
            env=CLEAN_ENVIRONMENT,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                await waits.wait()
            waiting.send_signal(signal.SIGINT)
            async with asyncio.timeout(STOP_SECONDS):
                _, err = await waiting.communicate()
        finally:
            if waiting.returncode is None:
                waiting.kill()
                await waiting.wait()
    assert waiting.returncode == ExitCode.INTERRUPTED
    assert b"lorayard result neverjob --wait" in err
    assert b"Traceback" not in err
