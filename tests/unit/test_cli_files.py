"""Which files `summarize` reads, and what it makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorayard_cli.reading.files import UnreadableFileError, find_files, read_text


def _names(root: Path, *paths: Path) -> list[str]:
    return [str(found.path.relative_to(root)) for found in find_files(paths)]


def _write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("Some text.", encoding="utf-8")


def test_a_folder_stands_for_its_text_files_in_order_of_names(tmp_path: Path) -> None:
    _write(tmp_path, "b.md", "a.txt", "sub/c.MD", "code.py", "image.png")
    assert _names(tmp_path, tmp_path) == ["a.txt", "b.md", "sub/c.MD"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path, ".hidden.md", ".git/x.md", "seen.md")
    assert _names(tmp_path, tmp_path) == ["seen.md"]


def test_a_file_named_outright_is_taken_whatever_its_name(tmp_path: Path) -> None:
    _write(tmp_path, "README")
    assert _names(tmp_path, tmp_path / "README") == ["README"]


def test_a_file_that_two_paths_stand_for_comes_once(tmp_path: Path) -> None:
    _write(tmp_path, "a.md")
    assert _names(tmp_path, tmp_path / "a.md", tmp_path) == ["a.md"]


def test_a_link_that_leads_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    _write(tmp_path, "sub/a.md")
    (tmp_path / "sub" / "again").symlink_to(tmp_path)
    assert _names(tmp_path, tmp_path) == ["sub/a.md"]


def test_a_path_that_does_not_exist_is_listed_with_the_reason(tmp_path: Path) -> None:
    (found,) = find_files([tmp_path / "nothing"])
    assert found.problem == "no such file or folder"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfText")
    assert read_text(tmp_path / "a.txt") == "Text"


def test_utf_16_is_read_by_its_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Text".encode("utf-16"))
    assert read_text(tmp_path / "a.txt") == "Text"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty", id="nothing in it"),
        pytest.param(b" \n\t", "empty", id="white space only"),
        pytest.param(b"\x80\x81\x82", "not UTF-8 text", id="no UTF-8"),
        pytest.param(b"a\0b", "zero bytes", id="binary that decodes"),
        pytest.param(b"\xff\xfea", "not UTF-16 text", id="torn UTF-16"),
    ],
)
def test_a_file_without_text_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=reason):
        read_text(tmp_path / "a.txt")


def test_a_link_to_nowhere_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(UnreadableFileError, match="No such file"):
        read_text(tmp_path / "a.txt")
