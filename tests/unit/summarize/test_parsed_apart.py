"""PDF and office files are parsed in processes of their own, with an end to what they may take (G3, G5)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from lorayard import ExtraMissingError
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.kinds import Kind
from lorayard.summarize.reading import apart
from lorayard.summarize.reading.apart import parse_apart
from lorayard.summarize.reading.document import look_at, read_document


def _pdf(path: Path, content: bytes) -> Path:
    writer = PdfWriter()
    page = writer.add_blank_page(100, 100)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    names = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    fonts = DictionaryObject({NameObject("/F1"): names})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    stream.set_data(content)
    page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())  # pyright: ignore[reportPrivateUsage]  # there is no other way to a page's own words
    writer.write(path)
    return path


async def test_what_another_process_reads_is_the_text_of_the_file__e6(tmp_path: Path) -> None:
    path = _pdf(tmp_path / "a.pdf", b"BT /F1 12 Tf 10 50 Td (Hello from a page) Tj ET")
    text = "".join(read_document(path, look_at(path), await parse_apart(path, Kind.PDF)))
    assert "Hello from a page" in text


async def test_a_broken_file_says_what_its_parser_says__g3(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"no PDF at all")
    with pytest.raises(DocumentError, match="broken PDF"):
        await parse_apart(tmp_path / "a.pdf", Kind.PDF)
    with pytest.raises(DocumentError, match="No such file"):
        await parse_apart(tmp_path / "gone.pdf", Kind.PDF)


async def test_a_parser_that_never_ends_is_ended__g5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "a.pdf")  # nobody writes: its reader waits
    monkeypatch.setattr(apart, "PARSE_SECONDS", 2.0)
    with pytest.raises(DocumentError, match="took too long") as caught:
        await parse_apart(tmp_path / "a.pdf", Kind.PDF)
    assert caught.value.code == "too_large"


async def test_who_stops_waiting_ends_the_parser__g2(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pdf")
    waiting = asyncio.create_task(parse_apart(tmp_path / "a.pdf", Kind.PDF))
    # Opening to write without waiting works as soon as the parser has it open.
    while True:
        try:
            pipe = os.open(tmp_path / "a.pdf", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(BrokenPipeError):  # it is gone
        os.write(pipe, b"x")
    os.close(pipe)


async def test_a_file_that_takes_too_much_memory_is_listed__g5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _pdf(tmp_path / "a.pdf", b"BT " + b"(word) Tj " * 8_000_000 + b"ET")
    assert path.stat().st_size < 2**20
    monkeypatch.setattr(apart, "PARSE_MEMORY_BYTES", 400 * 2**20)
    with pytest.raises(DocumentError, match=r"memory|broken PDF"):
        await parse_apart(path, Kind.PDF)


async def test_a_text_that_grows_without_end_is_cut_off__g5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _pdf(tmp_path / "a.pdf", b"BT /F1 12 Tf " + b"(some words of it) Tj " * 20_000 + b"ET")
    monkeypatch.setattr(apart, "PARSED_BYTES", 4096)
    with pytest.raises(DocumentError, match="longer than"):
        await parse_apart(path, Kind.PDF)


async def test_a_bomb_of_an_office_file_is_listed__g5(tmp_path: Path) -> None:
    with (
        ZipFile(tmp_path / "a.docx", "w", ZIP_DEFLATED, compresslevel=1) as made,
        made.open("word/document.xml", "w") as part,
    ):
        for _ in range(1100):
            part.write(b" " * 2**20)
    with pytest.raises(DocumentError, match="unpacks to"):
        await parse_apart(tmp_path / "a.docx", Kind.OFFICE)


async def test_a_library_that_is_missing_there_is_told_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pypdf.py").write_text("raise ModuleNotFoundError(name='pypdf')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(ExtraMissingError, match=r"reading a PDF needs pypdf; .*lorayard\[documents\]"):
        await parse_apart(tmp_path / "a.pdf", Kind.PDF)


async def test_no_module_of_the_working_folder_is_taken_for_ours__g5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(99)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = _pdf(tmp_path / "a.pdf", b"BT /F1 12 Tf 10 50 Td (Hello) Tj ET")
    (await parse_apart(path, Kind.PDF)).close()
