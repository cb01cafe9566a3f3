"""What `submit` makes of a file with a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorayard_cli.text_file import UnreadableFileError, read_text


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
