"""Office documents, where the extra `office` is installed; and what is said where it is not (E6)."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from lorayard import ExtraMissingError
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.reading.document import look_at, read_document

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def _docx(path: Path, text: str) -> Path:
    """The least that Word opens."""
    with ZipFile(path, "w") as made:
        made.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{TYPE}"/></Types>',
        )
        made.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">'
            f'<Relationship Id="r" Type="{OFFICE}" Target="word/document.xml"/></Relationships>',
        )
        made.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body>'
            "</w:document>",
        )
    return path


def _text(path: Path) -> str:
    return "".join(read_document(path, look_at(path)))


def test_a_word_document_gives_its_text__e6(tmp_path: Path) -> None:
    assert "Minutes of the meeting" in _text(_docx(tmp_path / "a.docx", "Minutes of the meeting"))


def test_a_torn_word_document_says_so__g3(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"PK no archive")
    with pytest.raises(DocumentError, match="broken docx"):
        _text(tmp_path / "a.docx")


def test_without_the_extra_it_is_told_which_one_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "markitdown", None)
    with pytest.raises(ExtraMissingError, match=r"lorayard\[office\]"):
        _text(_docx(tmp_path / "a.docx", "text"))


def test_an_archive_that_unpacks_to_more_than_a_memory_is_listed__g5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _docx(tmp_path / "a.docx", "x" * 100_000)
    monkeypatch.setattr("lorayard.summarize.reading.office_file.MOST_UNPACKED_BYTES", 100_000)
    with pytest.raises(DocumentError, match="unpacks to") as caught:
        _text(path)
    assert caught.value.code == "too_large"
