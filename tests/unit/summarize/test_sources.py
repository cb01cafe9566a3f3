"""Which documents `summarize` takes for a path (E6)."""

from __future__ import annotations

import os
from pathlib import Path

from lorayard.summarize.sources import find_sources


def _names(root: Path, *paths: Path, all_files: bool = False) -> list[str]:
    return [str(found.path.relative_to(root)) for found in find_sources(paths, all_files=all_files)]


def _write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("Some text.", encoding="utf-8")


def test_a_folder_stands_for_its_documents_in_order_of_names(tmp_path: Path) -> None:
    _write(tmp_path, "b.md", "a.txt", "sub/c.MD", "code.py", "image.png", "LICENSE", "x.pdf", "y.docx")
    assert _names(tmp_path, tmp_path) == ["LICENSE", "a.txt", "b.md", "x.pdf", "y.docx", "sub/c.MD"]


def test_all_files_of_a_folder_are_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    _write(tmp_path, "code.py", "a.txt")
    assert _names(tmp_path, tmp_path, all_files=True) == ["a.txt", "code.py"]


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
