"""Where summaries go: whole files or none, no two documents in one file, a report for people (E6)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path, PurePath
from unicodedata import normalize

import pytest

from lorayard.summarize.errors import OutputError, OutputInUseError
from lorayard.summarize.output.files import WholeFile, as_lines
from lorayard.summarize.output.folder import MarkdownFolder, names_of
from lorayard.summarize.output.places import held
from lorayard.summarize.output.report import as_report
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.run import Placed
from lorayard.summarize.tally import Tally
from lorayard_cli.summary_sinks import make_sink


def _record(name: str, summary: str = "It says so.", **given: object) -> DocumentRecord:
    fields: dict[str, object] = {"path": f"/x/{name}", "name": name, "summary": summary, "content": name}
    return DocumentRecord(**{**fields, **given})  # type: ignore[arg-type]  # fields of a test's choice


def _broken(name: str) -> DocumentRecord:
    return DocumentRecord(path=f"/x/{name}", name=name, error={"code": "unreadable", "message": "it is torn"})


def _placed(*records: DocumentRecord) -> list[Placed]:
    return [Placed(place=place, record=record) for place, record in enumerate(records)]


def test_lines_stand_in_the_order_of_the_documents__e6(tmp_path: Path) -> None:
    with WholeFile(tmp_path / "new" / "out.jsonl", as_lines) as sink:
        for placed in reversed(_placed(*(_record(f"{number}.md") for number in range(5)))):
            sink.add(placed)
        assert not (tmp_path / "new" / "out.jsonl").exists()
        sink.finish(Tally())
    lines = (tmp_path / "new" / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["name"] for line in lines] == [f"{number}.md" for number in range(5)]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["out.jsonl"]


def test_a_run_that_does_not_finish_leaves_what_was_there__e6(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("before", encoding="utf-8")
    with WholeFile(out, as_lines) as sink:
        sink.add(*_placed(_record("a.md")))
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
    assert out.read_text(encoding="utf-8") == "before"


def test_a_place_is_held_by_one_at_a_time__e6(tmp_path: Path) -> None:
    with held(tmp_path / "out"), pytest.raises(OutputInUseError), held(tmp_path / "out"):
        pytest.fail("two hold it")
    with held(tmp_path / "out"), held(tmp_path / "other"):
        pass


def test_a_place_that_cannot_be_written_is_told_at_once__g3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), held(tmp_path / "file" / "out"):
        pytest.fail("a file is no folder")


def test_names_that_clash_get_files_of_their_own__e6(tmp_path: Path) -> None:
    names = names_of(["d/a", "d/A", "d/a", "d/a.md/x", "e/../../f", "n\nl", "y" * 300])
    made = [str(names[place]) for place in range(7)]
    assert made[:3] == ["d/a.md", "d/A.2.md", "d/a.3.md"]
    assert len({name.casefold() for name in made}) == 7
    assert not any(".." in PurePath(name).parts or "\n" in name for name in made)
    with MarkdownFolder(tmp_path / "out", names) as sink:
        for placed in _placed(*(_record(f"{number}") for number in range(7))):
            sink.add(placed)
    assert len(list((tmp_path / "out").rglob("*.md"))) >= 7


def test_a_report_names_each_text_once_and_what_gave_nothing__e6() -> None:
    records = [
        _record("docs/a.md", content="1", title="A [title]"),
        _record("docs/copy.md", content="1"),
        _record("docs/list.md", summary="- one\n- two", key_points=("one", "two")),
        _record("docs/record.md", key_points=("a point",)),
        _broken("docs/b\n.pdf"),
    ]
    report = "".join(as_report(iter(records), Tally()))
    assert "# Summaries of 4 documents" in report
    assert "## docs" in report
    assert r"**A \[title\]** (a.md): It says so." in report
    assert report.count("It says so.") == 2
    assert "Copies: docs/copy.md" in report
    assert report.count("one") == 1
    assert "- a point" in report
    assert "- /x/docs/b .pdf: it is torn" in report


def test_a_report_of_nothing_is_a_report() -> None:
    assert "# Summaries of 0 documents" in "".join(as_report(iter([_broken("a")]), Tally()))


def test_no_name_leads_out_of_the_folder__g5() -> None:
    """Folders may be called ` ..`, and names are cleaned of white space."""
    for name in names_of([" ../ ../x", "a/..\n/b", " ./c", "\t../d"]).values():
        assert not {"..", "."} & set(name.parts), name


def test_names_that_a_file_system_takes_for_one_get_files_of_their_own__e6() -> None:
    assert len({normalize("NFC", str(name)) for name in names_of(["caf\u00e9", "cafe\u0301"]).values()}) == 2


def test_a_line_can_be_written_whatever_the_name_of_its_document__g3() -> None:
    line = _record(os.fsdecode(b"\xff.txt"), "Grüße").to_json()
    assert json.loads(line.encode())["name"] == "\udcff.txt"


def test_two_names_of_a_place_are_one_place__g3(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with (
        make_sink(tmp_path / "real", None, ["a"]),
        pytest.raises(OutputInUseError),
        make_sink(tmp_path / "link", None, ["a"]),
    ):
        pytest.fail("two hold it")


@pytest.mark.parametrize("dangling", [False, True])
def test_nothing_is_written_through_a_link__g5(tmp_path: Path, dangling: bool) -> None:
    """Others may write to the folder, too, and know the names that we use for a moment."""
    thesis = tmp_path / "thesis.txt"
    if not dangling:
        thesis.write_text("mine", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    for name in (".lines.jsonl.partial", ".a.md.partial", ".lorayard-probe"):
        (out / name).symlink_to(thesis)
    with WholeFile(out / "lines.jsonl", as_lines) as sink:
        sink.add(*_placed(_record("a")))
        sink.finish(Tally())
    with MarkdownFolder(out, names_of(["a"])) as pages:
        pages.add(*_placed(_record("a")))
    assert (out / "lines.jsonl").read_text(encoding="utf-8")
    assert (out / "a.md").read_text(encoding="utf-8")
    assert (thesis.read_text(encoding="utf-8") == "mine") if not dangling else not thesis.exists()


def test_a_lock_is_no_link__g5(tmp_path: Path) -> None:
    (tmp_path / ".out.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError), held(tmp_path / "out"):
        pytest.fail("it leads elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_leaves_what_was_there__g2(tmp_path: Path) -> None:
    """Behind a limit of file sizes every write fails as on a full disk; in a process of its own."""
    (tmp_path / "out.jsonl").write_text("before", encoding="utf-8")
    program = f"""
import resource, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from lorayard.summarize.errors import OutputError
from lorayard.summarize.output.files import WholeFile, as_lines
from lorayard.summarize.record import DocumentRecord
from lorayard.summarize.run import Placed
from lorayard.summarize.tally import Tally
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
record = DocumentRecord(path="a", name="a", summary="x" * 3000)
try:
    with WholeFile(Path({str(tmp_path / "out.jsonl")!r}), as_lines) as sink:
        for place in range(9):
            sink.add(Placed(place=place, record=record))
        sink.finish(Tally())
except OutputError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "cannot be written" in ran.stdout
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
