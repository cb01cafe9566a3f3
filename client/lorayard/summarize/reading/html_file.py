"""The text of a web page: headings, paragraphs and list items, without scripts, styles and menus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Final

from lorayard.summarize.errors import DocumentError

_SILENT: Final = frozenset({"script", "style", "template", "noscript", "svg", "nav", "head"})
_BLOCKS: Final = frozenset({"p", "div", "section", "article", "main", "header", "footer", "aside", "figure"})
_BREAKS: Final = _BLOCKS | {"table", "tr", "ul", "ol", "dl", "dt", "pre", "blockquote", "form"}
_HEADINGS: Final = {f"h{level}": "#" * level for level in range(1, 7)}
_OF_HEADS: Final = frozenset({"base", "link", "meta", "noscript", "script", "style", "template", "title"})
_SPACE: Final = re.compile(r"\s+")

MOST_PENDING: Final = 16 * 2**20
"""Characters of a tag, comment or script that has not ended: the parser begins it anew with each block."""


class _Page(HTMLParser):
    """Collects text until it is taken."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._silent: list[str] = []
        self._preformatted = 0
        self._after_space = True

    def take(self) -> str:
        text, self._parts = "".join(self._parts), []
        return text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if self._silent[-1:] == ["head"] and tag not in _OF_HEADS:
            self._silent.pop()  # </head> may be left out
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag in _HEADINGS:
            self._parts.append(f"\n\n{_HEADINGS[tag]} ")
        elif tag == "li":
            self._parts.append("\n- ")
        elif tag == "br":
            self._parts.append("\n")
        elif tag in ("td", "th", "dd"):
            self._parts.append(" ")
        elif tag in _BREAKS:
            self._parts.append("\n\n")
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            # What was opened inside and never closed ends with it.
            del self._silent[self._silent.index(tag) :]
        elif tag in _HEADINGS or tag in _BREAKS:
            self._parts.append("\n\n")
        self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if not self._preformatted:
            data = _SPACE.sub(" ", data)
            # A space at both sides of a border of blocks is one.
            data = data.lstrip(" ") if self._after_space else data
        if data:
            self._after_space = data[-1].isspace()
            self._parts.append(data)


def html_text(blocks: Iterable[str]) -> Iterator[str]:
    """The readable text of a page that comes in blocks.

    Raises:
        DocumentError: it has something in it that does not end, or that nobody can read.
    """
    page = _Page()
    try:
        for block in blocks:
            page.feed(block)
            if len(page.rawdata) > MOST_PENDING:
                raise DocumentError("a broken page: a tag, a comment or a script in it does not end")
            if text := page.take():
                yield text
        page.close()
    except AssertionError as error:
        # What the parser of some Python versions makes of a declaration like `<![<`.
        raise DocumentError(f"a broken page: {error}") from error
    if text := page.take():
        yield text
