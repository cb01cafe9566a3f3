"""`lorayard summarize` beside a yard of real processes: outputs, interruptions, and runs that go on (E6)."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, Ran, Up, command, start_up, wait_until

from lorayard.summarize.output.places import held
from lorayard_cli.exit_codes import ExitCode

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


SENTENCE = "A sentence of some words. "


def _documents(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("First sentence. Second sentence.", encoding="utf-8")
    (folder / "sub" / "b.txt").write_text("Another text.", encoding="utf-8")
    (folder / "long.md").write_text(SENTENCE * 400, encoding="utf-8")
    (folder / "empty.md").write_text("", encoding="utf-8")
    (folder / "binary.txt").write_bytes(b"\x80\x00\x81")
    return folder


def _prompts(folder: Path) -> Path:
    """The document alone: an echo is then its own summary."""
    folder.mkdir()
    (folder / "whole.txt").write_text("{text}", encoding="utf-8")
    return folder


def _summarize(up: Up, tmp_path: Path, *arguments: str) -> Ran:
    prompts = _prompts(tmp_path / "prompts")
    return up.run("summarize", *arguments, "--adapter", "acme/tiny/a", "--prompts", str(prompts))


def test_summarize_writes_one_line_per_document_and_stops_at_none__e6(up: Up, tmp_path: Path) -> None:
    folder = _documents(tmp_path / "docs")
    ran = _summarize(up, tmp_path, str(folder), str(tmp_path / "nowhere.md"), "--chunk-tokens", "100")
    assert ran.exit_code == ExitCode.OK, ran.err
    lines = {Path(line["path"]).name: line for line in ran.lines}
    assert lines.keys() == {"a.md", "b.txt", "long.md", "empty.md", "binary.txt", "nowhere.md"}
    assert lines["a.md"]["summary"] == "First sentence. Second sentence."
    assert lines["a.md"]["digest"].startswith("sha256:")
    assert (lines["a.md"]["chunks"], lines["long.md"]["characters"]) == (
        1,
        len("A sentence of some words. ") * 400,
    )
    assert lines["long.md"]["chunks"] > 10
    for name in ("empty.md", "binary.txt", "nowhere.md"):
        assert lines[name]["error"]["code"] == "unreadable"


def test_summarize_writes_a_report_and_does_only_what_has_changed__e6(up: Up, tmp_path: Path) -> None:
    folder, out = _documents(tmp_path / "docs"), tmp_path / "report.md"
    first = _summarize(up, tmp_path, str(folder), "--out", str(out))
    assert (first.exit_code, first.out) == (ExitCode.OK, "")
    report = out.read_text(encoding="utf-8")
    assert "First sentence. Second sentence." in report
    assert "Without a summary" in report
    (folder / "a.md").write_text("Something else.", encoding="utf-8")
    arguments = (str(folder), "--adapter", "acme/tiny/a", "--prompts", str(tmp_path / "prompts"))
    again = up.run("summarize", *arguments, "--out", str(out))
    assert "kept: 2 documents" in again.err
    assert "Something else." in out.read_text(encoding="utf-8")


def test_summarize_writes_a_file_for_each_document__e6(up: Up, tmp_path: Path) -> None:
    folder = _documents(tmp_path / "docs")
    ran = _summarize(up, tmp_path, str(folder), "--out", str(tmp_path / "pages"))
    assert ran.exit_code == ExitCode.OK, ran.err
    pages = {str(page.relative_to(tmp_path / "pages")) for page in (tmp_path / "pages").rglob("*.md")}
    assert {"docs/a.md.md", "docs/sub/b.txt.md", "docs/empty.md.md"} <= pages


def test_summarize_with_an_unknown_adapter_ends_with_its_exit_code(up: Up, tmp_path: Path) -> None:
    folder = _documents(tmp_path / "docs")
    ran = up.run("summarize", str(folder), "--adapter", "acme/tiny/nobody")
    assert ran.exit_code == ExitCode.UNKNOWN_ADAPTER
    assert "acme/tiny/nobody" in ran.err


def test_summarize_without_any_document_says_so(up: Up, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = _summarize(up, tmp_path, str(tmp_path / "empty"))
    assert ran.exit_code == ExitCode.BAD_INPUT
    assert "no document" in ran.err


@pytest.fixture
def slow_up(tmp_path: Path) -> Iterator[Up]:
    """A yard that takes its time over every job."""
    folder = tmp_path / "slow"
    folder.mkdir()
    started = start_up(folder, "--workers", "1", env={"LORAYARD_ECHO_DELAY_SECONDS": "0.4"})
    yield started
    started.end()


def _kept(up: Up) -> int:
    """Documents that an interrupted `summarize` has done."""
    file = up.folder / ".lorayard" / "summaries" / "summaries.sqlite"
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as opened:
        try:
            return int(opened.execute("SELECT count(*) FROM documents").fetchone()[0])
        except sqlite3.OperationalError:  # just made
            return 0


def _has_kept(up: Up, documents: int) -> bool:
    return _kept(up) >= documents


DOCUMENTS = 24


def test_summarize_interrupted_and_killed_goes_on_and_asks_nothing_twice__e6(
    slow_up: Up, tmp_path: Path
) -> None:
    docs, out = tmp_path / "docs", tmp_path / "out.jsonl"
    docs.mkdir()
    for number in range(DOCUMENTS):
        (docs / f"{number}.md").write_text(f"Document {number}.", encoding="utf-8")
    arguments = ("summarize", str(docs), "--out", str(out), "--adapter", "base", "--in-flight", "4")
    for number, ending in ((1, signal.SIGINT), (2, signal.SIGKILL)):
        running = subprocess.Popen(
            command(*arguments), cwd=slow_up.folder, env=CLEAN_ENVIRONMENT, stderr=subprocess.PIPE, text=True
        )
        try:
            wait_until(partial(_has_kept, slow_up, _kept(slow_up) + 3), f"run {number} has done documents")
            running.send_signal(ending)
            _, err = running.communicate(timeout=30)
        finally:
            running.kill()
            running.communicate()
        assert not out.exists()
        if ending == signal.SIGINT:
            assert running.returncode == ExitCode.INTERRUPTED, err
            assert f"of {DOCUMENTS} documents done" in err
            assert "Traceback" not in err
    ran = slow_up.run(*arguments)
    assert ran.exit_code == ExitCode.OK, ran.err
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["name"] for line in lines) == sorted(f"docs/{n}.md" for n in range(DOCUMENTS))
    assert all(line["error"] is None for line in lines)
    assert sum(line["kept"] for line in lines) >= 6

    def jobs_succeeded() -> int:
        (worker,) = slow_up.run("workers", "ls", "--json").document["workers"]
        return int(worker["counters"]["jobs_succeeded"])

    # What was in flight when a run ended was found again, not run anew.
    wait_until(lambda: jobs_succeeded() >= DOCUMENTS, "the worker tells of the last one")
    assert jobs_succeeded() == DOCUMENTS


def test_a_document_that_comes_meanwhile_moves_no_name__e6(slow_up: Up, tmp_path: Path) -> None:
    docs, out = tmp_path / "docs", tmp_path / "out"
    for name in ("a/1", "a/2", "a/3", "b/9"):
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / f"{name}.md").write_text(f"Document {name}.", encoding="utf-8")
    arguments = ("summarize", str(docs), "--out", str(out), "--adapter", "base", "--in-flight", "1")
    running = subprocess.Popen(
        command(*arguments), cwd=slow_up.folder, env=CLEAN_ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(partial(_has_kept, slow_up, 1), "the first document is done")
        (docs / "b" / "0.md").write_text("It came late.", encoding="utf-8")
        _, err = running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == ExitCode.OK, err
    written = {str(path.relative_to(out)): path.read_text(encoding="utf-8") for path in out.rglob("*.md")}
    assert written.keys() == {f"docs/{name}.md.md" for name in ("a/1", "a/2", "a/3", "b/9")}
    assert "Document b/9." in written["docs/b/9.md.md"]


def test_an_output_is_written_by_one_run_at_a_time__e6(up: Up, tmp_path: Path) -> None:
    folder, out = _documents(tmp_path / "docs"), tmp_path / "out.jsonl"
    with held(out):
        ran = up.run("summarize", str(folder), "--adapter", "base", "--out", str(out))
    assert ran.exit_code == ExitCode.PORT_IN_USE
    assert "another run writes to" in ran.err
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_told_before_any_work__e6(up: Up, tmp_path: Path) -> None:
    folder = _documents(tmp_path / "docs")
    for out in (
        Path("/proc/nobody/out.jsonl"),
        folder / "a.md" / "out.jsonl",
        tmp_path / "docs" / "a.md" / "x",
    ):
        ran = up.run("summarize", str(folder), "--adapter", "base", "--out", str(out))
        assert ran.exit_code == ExitCode.USAGE, ran.err
        assert "cannot be written" in ran.err
