"""Real text for the demo to work on, found on this machine and written by none of us.

The long descriptions of installed Python distributions, brought down to prose; where there are fewer than
asked for, the texts of their licences. The order is that of the names, so equal machines give equal lists.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from email.message import Message

SHORTEST_CHARACTERS = 200
"""Below this a description says hardly more than its one-line summary."""

LONGEST_CHARACTERS = 1_200
"""About 300 tokens: what the demo's adapters were trained on."""


OWN_DISTRIBUTION = "lorayard"  # its description is ours, so no real document


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A piece of prose and where it came from."""

    name: str
    text: str


def real_documents(limit: int) -> list[Document]:
    """Return up to `limit` documents of different text, descriptions before licences.

    Fewer come back only on a machine that has fewer. Raises `ValueError` for a negative limit.
    """
    if limit < 0:
        raise ValueError(f"limit must not be negative, got {limit}")
    installed = sorted(_by_name(distributions()).items())
    kept: list[Document] = []
    seen: set[str] = set()
    for document in _candidates([distribution for _, distribution in installed]):
        if len(kept) == limit:
            break
        if document.text not in seen:
            seen.add(document.text)
            kept.append(document)
    return kept


def _by_name(found: Iterable[Distribution]) -> dict[str, Distribution]:
    """Index by normalised name; the first on the path wins, as with imports."""
    by_name: dict[str, Distribution] = {}
    for distribution in found:
        name = distribution.metadata["Name"]
        if name and name != OWN_DISTRIBUTION:  # a damaged installation has no name
            by_name.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution)
    return by_name


def _candidates(installed: list[Distribution]) -> Iterator[Document]:
    for distribution in installed:
        text = to_prose(_description(distribution))
        if len(text) >= SHORTEST_CHARACTERS:
            yield Document(name=distribution.name, text=text)
    for distribution in installed:
        for inner_path, licence in _licences(distribution):
            text = to_prose(licence)
            if len(text) >= SHORTEST_CHARACTERS:
                yield Document(name=f"{distribution.name}/{inner_path}", text=text)


def _description(distribution: Distribution) -> str:
    """Return the long description: the metadata's body, or its older header field."""
    # importlib.metadata returns an email message, but types it by a protocol that lacks these two.
    metadata = cast("Message", distribution.metadata)
    payload: object = metadata.get_payload()  # pyright: ignore[reportUnknownMemberType]  # typeshed: list[Any]
    if isinstance(payload, str) and payload:
        return payload
    return str(metadata.get("Description", ""))


def _licences(distribution: Distribution) -> Iterator[tuple[str, str]]:
    for path in distribution.files or []:
        _, in_metadata, inner_path = path.as_posix().partition(".dist-info/")
        if in_metadata and re.match(r"(?i)licen[cs]e|copying", path.name):
            try:
                yield inner_path, path.read_text()
            except (OSError, UnicodeDecodeError):
                continue  # one unreadable licence among many is no loss


def to_prose(markup: str, longest_characters: int = LONGEST_CHARACTERS) -> str:
    """Bring Markdown, reStructuredText or plain text down to paragraphs of prose.

    Code, badges, headings, lists, tables, comments and addresses go; links leave their text. The result
    ends at a sentence's border and may be empty.
    """
    text = markup.replace("\r\n", "\n").expandtabs(4)
    text = strip_html(strip_rst_blocks(strip_code_blocks(text)))
    paragraphs = (
        complete_sentences(clean_inline(" ".join(block.split())))
        for block in re.split(r"\n\s*\n", drop_headings(text))
        if is_prose(block)
    )
    return cut_at_sentence([p for p in paragraphs if _reads_as_sentences(p)], longest_characters)


_FENCE = re.compile(r"^ *(```|~~~).*?(^ *\1[ `~]*$|\Z)", re.MULTILINE | re.DOTALL)


def strip_code_blocks(text: str) -> str:
    """Remove fenced blocks; an unclosed fence takes the rest with it."""
    return _FENCE.sub("\n", text)


_RST_DIRECTIVE = re.compile(r"^( *)\.\. .*(?:\n(?: *\n)*\1 +\S.*)*", re.MULTILINE)
_RST_LITERAL = re.compile(r"::[ ]*\n(?:[ ]*\n)+(?:[ ]+\S.*(?:\n|\Z)|[ ]*\n)+", re.MULTILINE)


def strip_rst_blocks(text: str) -> str:
    """Remove directives with their indented bodies, link targets, comments and literal blocks."""
    return _RST_LITERAL.sub(":\n\n", _RST_DIRECTIVE.sub("\n", text))


_HTML_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HTML_HEADING = re.compile(r"<(h[1-6]|summary|pre)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_HTML_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def strip_html(text: str) -> str:
    """Remove comments, headings and tags, keep what the other tags enclose, resolve entities."""
    text = _HTML_TAG.sub("", _HTML_HEADING.sub("\n\n", _HTML_COMMENT.sub("", text)))
    return html.unescape(text)


_UNDERLINED = re.compile(r"^(?:[=\-~^\"'#*+`]{3,}\n)?\S.*\n[=\-~^\"'#*+`]{3,} *$", re.MULTILINE)
_HASHED = re.compile(r"^ {0,3}#{1,6} .*$", re.MULTILINE)


def drop_headings(text: str) -> str:
    """Replace underlined (reStructuredText, Markdown) and hashed (Markdown) headings by blank lines."""
    return _HASHED.sub("\n", _UNDERLINED.sub("\n", text))


_LIST_ITEM = re.compile(r"^\s*(?:[-*+•|>\[]|\d+[.)]|:\w+|\$|>>>)\s?")
_INDENTED = re.compile(r"^ {4}")


def is_prose(block: str) -> bool:
    """Tell a paragraph from a list, a table, a quotation, a badge row or indented code."""
    lines = [line for line in block.split("\n") if line.strip()]
    if not lines or any(_INDENTED.match(line) for line in lines):
        return False
    return not (_LIST_ITEM.match(lines[0]) and not _opens_with_markup(lines[0]))


def _opens_with_markup(line: str) -> bool:
    """Tell `*attrs* is`, `**Rich** is` and `[Rich](...) is` from the start of a list or a badge."""
    return re.match(r"^(\*{1,2}[^\s*]|\[[^\]!]+\]\()", line) is not None


_INLINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)"), ""),  # a badge that is a link
    (re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])"), ""),  # an image
    (re.compile(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),  # a link
    (re.compile(r":[a-z:]+:`~?([^`<]+?)(?: <[^`>]*>)?`"), r"\1"),  # a reStructuredText role
    (re.compile(r"`([^`<]+?) ?<[^`>]*>`_{1,2}"), r"\1"),  # a reStructuredText link
    (re.compile(r"`+([^`]+)`+_{0,2}"), r"\1"),  # code or a reference
    (re.compile(r"\|[^|\s][^|]*\|_{0,2}"), ""),  # a substitution: mostly badges
    (re.compile(r"(?<!\w)(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),  # emphasis
    (re.compile(r"\b([A-Za-z][\w-]*)_\b(?=[\s.,;:)]|$)"), r"\1"),  # a bare reference
    (re.compile(r"\(?<?https?://[^\s>)]+>?\)?"), ""),  # an address
    (re.compile(r"\[\d+\]_?"), ""),  # a footnote
    (re.compile(r"\\(?=[^\w\s])"), ""),  # an escape
    (re.compile(r"[^\x00-\x7f\u00a0-\u024f\u2013-\u201d]+"), ""),  # emoji and other decoration
    (re.compile(r"\( *\)|\[ *\]"), ""),
    (re.compile(r"\s+(?=[.,;:!?)]+(?:\s|$))"), ""),
    (re.compile(r"\s+"), " "),
)


def clean_inline(paragraph: str) -> str:
    """Remove inline markup from one paragraph, keeping the words."""
    for pattern, replacement in _INLINE:
        paragraph = pattern.sub(replacement, paragraph)
    return paragraph.strip()


_SENTENCE_BORDER = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)\s+(?=[A-Z\"'(])")


def complete_sentences(paragraph: str) -> str:
    """Drop an unfinished sentence at the end, such as the one that announces removed code."""
    sentences = _SENTENCE_BORDER.split(paragraph)
    if not paragraph.endswith((".", "!", "?")):
        sentences.pop()
    return " ".join(sentences)


_FEWEST_WORDS = 6


def _reads_as_sentences(paragraph: str) -> bool:
    """Tell prose from menus and left-over labels: enough words, most of them plain, a proper start."""
    words = paragraph.split()
    plain = [word for word in words if word.strip(".,;:!?()\"'").isalpha()]
    return len(words) >= _FEWEST_WORDS and len(plain) > 0.7 * len(words) and paragraph[0] not in ".,;:)"


def cut_at_sentence(paragraphs: Iterable[str], longest_characters: int) -> str:
    """Join paragraphs, and stop before the first sentence that would exceed the limit."""
    text = ""
    for paragraph in paragraphs:
        gap = "\n\n" if text else ""
        for sentence in _SENTENCE_BORDER.split(paragraph):
            if len(text) + len(gap) + len(sentence) > longest_characters:
                return text
            text += gap + sentence
            gap = " "
    return text
