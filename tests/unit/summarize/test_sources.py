"""Which documents `summarize` takes for a path (E6)."""

from __future__ import annotations

import os
from pathlib import Path

from lorayard.summarize.sources import Wanted, find_sources


def _names(root: Path, *paths: Path, wanted: Wanted = Wanted.TEXT) -> list[str]:
    return [str(found.path.relative_to(root)) for found in find_sources(paths, wanted=wanted)]


def _write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("Some text.", encoding="utf-8")


def test_a_folder_stands_for_its_documents_in_order_of_names(tmp_path: Path) -> None:
    _write(tmp_path, "b.md", "a.txt", "sub/c.MD", "code.py", "image.png", "LICENSE", "x.pdf", "y.docx")
    found = _names(tmp_path, tmp_path, wanted=Wanted.DOCUMENTS)
    assert found == ["LICENSE", "a.txt", "b.md", "x.pdf", "y.docx", "sub/c.MD"]


def test_a_text_is_one_whatever_its_name__e6(tmp_path: Path) -> None:
    _write(tmp_path, "ls.1", "build.log.2", "changes.debian", "code.py")
    contents = {
        "old.latin1": "Grüße aus der Küche, schöne Äpfel und Öl. ".encode("cp1252") * 20,
        "wide.data": "Grüße".encode("utf-16"),
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "noise.bin": os.urandom(5000),
        "nothing.typed": b"",
        "end.cut": ("x" * 4095 + "ü").encode(),  # the last character that is looked at is cut in two
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.sock")  # opening it would wait for a writer
    texts = ["build.log.2", "changes.debian", "code.py", "end.cut", "ls.1", "old.latin1", "wide.data"]
    assert _names(tmp_path, tmp_path) == texts
    assert _names(tmp_path, tmp_path, wanted=Wanted.DOCUMENTS) == []


def test_a_file_that_nobody_may_read_is_listed__g3(tmp_path: Path) -> None:
    (tmp_path / "gone.data").symlink_to(tmp_path / "nowhere")
    assert _names(tmp_path, tmp_path) == ["gone.data"]


def test_all_files_of_a_folder_are_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    _write(tmp_path, "a.txt")
    (tmp_path / "code.pyc").write_bytes(b"\0\1")
    assert _names(tmp_path, tmp_path, wanted=Wanted.ALL) == ["a.txt", "code.pyc"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path, ".hidden.md", ".git/x.md", "seen.md")
    assert _names(tmp_path, tmp_path) == ["seen.md"]


def test_a_file_named_outright_is_taken_whatever_its_name(tmp_path: Path) -> None:
    _write(tmp_path, "code.py", ".hidden")
    assert _names(tmp_path, tmp_path / "code.py", tmp_path / ".hidden") == ["code.py", ".hidden"]


def test_a_file_that_two_paths_stand_for_comes_once(tmp_path: Path) -> None:
    _write(tmp_path, "a.md")
    assert _names(tmp_path, tmp_path / "a.md", tmp_path, tmp_path / "*.md") == ["a.md"]


def test_a_link_that_leads_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    _write(tmp_path, "sub/a.md")
    (tmp_path / "sub" / "again").symlink_to(tmp_path)
    (tmp_path / "itself.md").symlink_to(tmp_path / "itself.md")
    assert _names(tmp_path, tmp_path) == ["itself.md", "sub/a.md"]


def test_a_pattern_stands_for_what_matches_below_it_too(tmp_path: Path) -> None:
    _write(tmp_path, "a.md", "sub/b.md", "sub/deep/c.md", "sub/d.txt")
    assert _names(tmp_path, tmp_path / "**" / "*.md") == ["a.md", "sub/b.md", "sub/deep/c.md"]
    assert _names(tmp_path, tmp_path / "s*") == ["sub/b.md", "sub/d.txt", "sub/deep/c.md"]


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path: Path) -> None:
    _write(tmp_path, "a[1].md", "a1.md")
    assert _names(tmp_path, tmp_path / "a[1].md") == ["a[1].md"]


def test_names_with_line_ends_and_foreign_bytes_are_names(tmp_path: Path) -> None:
    names = ["a\nb.md", os.fsdecode(b"bad-\xff.txt")]
    _write(tmp_path, *names)
    assert sorted(_names(tmp_path, tmp_path)) == sorted(names)


def test_what_does_not_exist_is_listed_with_the_reason(tmp_path: Path) -> None:
    (gone,) = find_sources([tmp_path / "nothing"])
    (unmatched,) = find_sources([tmp_path / "*.md"])
    assert (gone.problem, unmatched.problem) == ("no such file or folder", "nothing matches the pattern")


def test_a_document_keeps_its_place_below_the_folder_that_was_named(tmp_path: Path) -> None:
    _write(tmp_path, "docs/guide/a.md")
    (found,) = find_sources([tmp_path / "docs"])
    assert str(found.name) == "docs/guide/a.md"
