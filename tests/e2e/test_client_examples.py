"""The programs under examples/ do what they say, as programs of their own, on a real yard (E2, E4)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, Up, wait_until

from lorayard.job_ids import keyed_job_id

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = {"bulk.py", "cron.py", "script.py", "service.py"}

BULK_LINES = 400


def program(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name), *arguments]


def environment(up: Up, **more: str) -> dict[str, str]:
    return {**CLEAN_ENVIRONMENT, "LORAYARD_URL": up.state["url"], **more}


def run(up: Up, name: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(name, *arguments),
        env=environment(up, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_every_program_is_run_here_and_stands_on_the_page() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == PROGRAMS
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"[`{name}`]({name})" in page for name in PROGRAMS)


def test_the_script_answers_and_streams__e2(up: Up) -> None:
    done = run(up, "script.py", "hello yard")
    assert (done.returncode, done.stdout) == (0, "hello yard\nhello yard\n"), done.stderr
    assert done.stderr.startswith("10 tokens by ")


def test_the_script_says_in_one_line_that_no_bus_is_there__g3(up: Up) -> None:
    done = run(up, "script.py", LORAYARD_URL="nats://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "nats://127.0.0.1:1" in done.stderr


def test_a_bulk_run_that_was_killed_goes_on_and_asks_nothing_twice__e4(up: Up, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(f'{{"id": {n}, "prompt": "text {n}"}}\n' for n in range(BULK_LINES)))
    with subprocess.Popen(
        program("bulk.py", str(source), str(output)), env=environment(up), stderr=subprocess.DEVNULL
    ) as killed:
        wait_until(lambda: output.exists() and output.stat().st_size > 1000, "some are answered")
        killed.kill()
    with output.open("a", encoding="utf-8") as half:
        half.write('{"id": "torn off in the mid')
    kept = [line["job"] for line in written_whole(output)]
    done = run(up, "bulk.py", str(source), str(output))
    assert done.returncode == 0, done.stderr
    answers = written(output)
    assert {line["id"]: line["text"] for line in answers} == {str(n): f"text {n}" for n in range(BULK_LINES)}
    jobs = {keyed_job_id(tenant="default", salt="", key=f"bulk/{n}") for n in range(BULK_LINES)}
    assert {line["job"] for line in answers} == jobs
    assert len(answers) == BULK_LINES
    assert [line["job"] for line in answers[: len(kept)]] == kept


def written_whole(output: Path) -> list[dict[str, Any]]:
    """Without the half line at its end."""
    lines = output.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_bad_lines_of_a_bulk_run_harm_no_others_and_can_be_asked_again__g3(up: Up, tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = '{"id": "good", "prompt": "fine", "lane": "normal"}\n'
    unknown = '{"id": "unknown", "prompt": "x", "adapter": "a/b/c"}\n'
    source.write_text(good + "no json\n" + '{"id": "odd", "prompt": "x", "wrong": 1}\n[]\n' + unknown)
    assert run(up, "bulk.py", str(source), str(output)).returncode == 1
    answers = {line["id"]: line for line in written(output)}
    assert set(answers) == {"good", "line 2", "odd", "line 4", "unknown"}
    assert answers["good"]["text"] == "fine"
    assert "'wrong'" in answers["odd"]["error"]
    assert "a/b/c" in answers["unknown"]["error"]

    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("good", "unknown"):
        (folder / f"{name}.txt").write_text("mended", encoding="utf-8")
    assert run(up, "bulk.py", str(folder), str(output), "--again", "second").returncode == 0
    assert [line.get("text") for line in written(output)] == ["fine", "mended"]


def test_a_schedule_is_written_run_and_taken_away__e4(up: Up) -> None:
    done = run(up, "cron.py", "add", "add", "run", "history", "remove")
    assert done.returncode == 0, done.stderr
    first, again, ran, history = done.stdout.splitlines()
    assert first == again, "a second deployment changes nothing"
    assert first.startswith("morning-digest 30 7 * * 1-5 20")
    assert "friendly" in ran
    assert history.endswith("succeeded")
    gone = run(up, "cron.py", "run")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)


@pytest.fixture
def service(up: Up) -> Iterator[httpx.Client]:
    """The service, as a process that listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    env = environment(up, PORT=str(port))
    with (
        subprocess.Popen(program("service.py"), env=env) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            wait_until(lambda: listens(port), "the service listens")
            yield client
        finally:
            process.terminate()
            assert process.wait(timeout=20) in (0, -15)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_web_service_answers_streams_and_refuses__e2(service: httpx.Client) -> None:
    asked = {"text": "hello yard", "id": f"web-{os.getpid()}"}
    first, second = service.post("/answers", json=asked), service.post("/answers", json=asked)
    assert (first.status_code, first.json()["text"]) == (200, "hello yard")
    assert second.json() == first.json(), "a repeated id is answered by the same job"

    other = service.post("/answers", json={**asked, "text": "something else"})
    assert (other.status_code, other.json()["field"]) == (422, "idempotency_key")
    bodies: tuple[object, ...] = ({"text": ""}, {"text": 7}, {}, [], "x")
    for wrong in bodies:
        refused = service.post("/answers", json=wrong)
        assert refused.status_code == 422, wrong
        assert refused.json()["field"], wrong

    told = events(service.get("/stories", params={"of": "two ships"}).text)
    assert told[-1][1] == {"kind": "ended", "state": "succeeded"}
    text = "".join(data.get("text", "") for _, data in told)
    assert text == "Tell a story of two ships."

    place = next(name for name, data in told if data["kind"] == "started")
    later = events(service.get("/stories", headers={"Last-Event-ID": place}).text)
    assert later == told[1 + [name for name, _ in told].index(place) :]


def events(body: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and data of server-sent events."""
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in body.split("\n\n") if block
    ]
    return [(block["id"], json.loads(block["data"])) for block in blocks]
