"""What `summarize` reads out of files, and what it says of those that give nothing (E6, G3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pypdf import PdfWriter

from lorayard.summarize.errors import DocumentError
from lorayard.summarize.reading.document import look_at, read_document
from lorayard.summarize.reading.html_file import MOST_PENDING, html_text
from lorayard.summarize.reading.whole_text import whole_text


def _text(path: Path) -> str:
    return "".join(read_document(path, look_at(path)))


def _made(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param("Grüße".encode(), "Grüße", id="UTF-8"),
        pytest.param(b"\xef\xbb\xbfText", "Text", id="with a mark"),
        pytest.param("Grüße".encode("utf-16"), "Grüße", id="UTF-16"),
        pytest.param("Grüße".encode("utf-32"), "Grüße", id="UTF-32"),
        pytest.param(b"one\r\ntwo\rthree", "one\ntwo\nthree", id="line ends"),
        pytest.param(b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", id="colours of a log"),
        pytest.param(b"a" * 70_000 + b"\xff" + b"b", "a" * 70_000 + "\ufffdb", id="a bad byte far behind"),
    ],
)
def test_a_text_is_read_whatever_its_encoding__e6(tmp_path: Path, content: bytes, text: str) -> None:
    assert _text(_made(tmp_path, "a.txt", content)) == text


@pytest.mark.parametrize("encoding", ["cp1252", "koi8_r", "shift_jis"])
def test_an_older_encoding_is_found_out__e6(tmp_path: Path, encoding: str) -> None:
    texts = {
        "cp1252": "Der Bär läuft über die Straße, denn er möchte Äpfel und Öl für seine Küche kaufen. ",
        "koi8_r": "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация. ",
        "shift_jis": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    }
    text = texts[encoding] * 5
    assert _text(_made(tmp_path, "a.txt", text.encode(encoding))) == text


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("a.txt", b"", "empty", id="nothing in it"),
        pytest.param("a.txt", b" \n\t", "empty", id="white space only"),
        pytest.param("a.txt", b"\x80\0\x81", "binary", id="zero bytes"),
        pytest.param("a", os.urandom(4096).replace(b"\0", b"\1"), "no text", id="noise"),
        pytest.param("a.html", b"<script>only()</script>", "empty", id="a page without text"),
        pytest.param("a.pdf", b"%PDF-1.7 and then nothing", "broken PDF", id="a torn PDF"),
        pytest.param("a.pdf", b"no PDF at all", "broken PDF", id="no PDF"),
    ],
)
def test_a_file_without_text_says_why__g3(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    with pytest.raises(DocumentError, match=reason):
        _text(_made(tmp_path, name, content))


def test_what_is_no_file_is_not_opened__g3(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DocumentError, match="not a regular file"):
        look_at(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    with pytest.raises(DocumentError, match="symbolic links"):
        look_at(tmp_path / "loop.txt")
    with pytest.raises(DocumentError, match="No such file"):
        look_at(tmp_path / "gone.txt")


def test_a_file_over_the_limit_is_listed_and_not_read__g3(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="at most 10 are read") as caught:
        look_at(_made(tmp_path, "a.txt", b"x" * 11), most_bytes=10)
    assert caught.value.code == "too_large"


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = _made(tmp_path, "a.txt", b"before")
    seen = look_at(path)
    path.write_bytes(b"afterwards")
    with pytest.raises(DocumentError, match="changed while it was read"):
        "".join(read_document(path, seen))


def test_a_page_gives_its_text_without_its_machinery__e6() -> None:
    page = """<html><head><title>T</title><style>p{}</style></head><body><nav>Home</nav>
    <h2>Heads &amp; tails</h2><p>One
    two.</p><ul><li>a<li>b</ul><script>x()</script><pre>  kept
  as is</pre>"""
    # In blocks that cut tags and entities in two.
    text = "".join(html_text(page[start : start + 7] for start in range(0, len(page), 7)))
    assert "## Heads & tails" in text
    assert "One two." in text
    assert "- a" in text
    assert "  kept\n  as is" in text
    assert not {"Home", "x()", "p{}"} & set(text.split())


def test_a_pdf_gives_the_text_of_its_pages__e6(tmp_path: Path) -> None:
    path = _made(tmp_path, "a.pdf", _pdf("Hello from a page"))
    assert "Hello from a page" in _text(path)


def test_a_pdf_that_is_locked_or_has_only_pictures_says_so__g3(tmp_path: Path) -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "blank.pdf")
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(DocumentError, match="without text"):
        _text(tmp_path / "blank.pdf")
    with pytest.raises(DocumentError, match="password"):
        _text(tmp_path / "locked.pdf")


def _pdf(text: str) -> bytes:
    """The smallest file that shows a line."""
    stream = f"BT /F1 12 Tf 10 50 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, places = b"%PDF-1.4\n", list[int]()
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    return body + head + table + end


def test_a_head_may_have_no_end__e6() -> None:
    page = "<html><head><title>T</title><script>x()</script><meta a=b><body><p>Said.</p></body></html>"
    assert "".join(html_text([page])).strip() == "Said."


@pytest.mark.parametrize("page", ["<p>a</p><![<![", "<a " + "x" * (MOST_PENDING + 1)])
def test_a_page_that_is_made_to_hurt_says_so__g3(page: str) -> None:
    with pytest.raises(DocumentError, match="broken page"):
        "".join(html_text(page[start : start + 2**20] for start in range(0, len(page), 2**20)))


def test_halves_of_characters_are_replaced__g3() -> None:
    assert whole_text("a\ud83d\ude00b\ud83d") == "a😀b\ufffd"
    assert whole_text("Grüße") == "Grüße"
