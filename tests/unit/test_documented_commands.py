"""Every `lorayard ...` of the pages is a command that there is, with options that it has; nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import App, CycloptsError

from lorayard_cli.app import make_app, with_verb

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "examples/README.md"])

LEAST = 150
"""Command lines of all pages: fewer, and this reads them no more."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(lorayard [^`\n]+)`")
_ENDS = ("|", ">", "<", "&&", ";", "&", "2>&1")
_SETTING = re.compile(r"[A-Z_]+=\S*")


def written(page: Path) -> Iterator[tuple[str, bool]]:
    """The command lines of a page, and whether each is whole: one in a sentence may lack what it needs."""
    text = page.read_text(encoding="utf-8")
    for kind, block in _FENCE.findall(text):
        if kind in ("", "sh", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                stripped = line.removeprefix("$ ").strip()
                if re.match(rf"({_SETTING.pattern} )*lorayard ", stripped):
                    yield stripped, True
    for span in _SPAN.findall(_FENCE.sub("", text)):
        first, *others = span.split("|")
        yield first, False
        for other in others:  # `lorayard dead ls|show|redrive`
            yield f"{first.rpartition(' ')[0]} {other}", False


def tokens_of(line: str) -> list[str]:
    """What the shell would give it."""
    tokens = shlex.split(line, comments=True)
    while _SETTING.fullmatch(tokens[0]):
        del tokens[0]
    assert tokens[0] == "lorayard"
    end = next((place for place, token in enumerate(tokens) if token in _ENDS), len(tokens))
    return with_verb([token for token in tokens[1:end] if token not in ("...", "…")])


def fault(app: App, line: str, *, whole: bool) -> str | None:
    """What is wrong with a command line; None: nothing."""
    tokens = with_verb(tokens_of(line))
    if whole:
        try:
            app.parse_args(tokens, print_error=False, exit_on_error=False)
        except CycloptsError as error:
            return " ".join(str(error).split())
        return None
    chain, apps, rest = app.parse_commands(tokens)
    command = apps[-1]
    if rest and not rest[0].startswith("-") and (not chain or command.default_command is None):
        return f"there is no {' '.join([*chain, rest[0]])}"
    given = [token.partition("=")[0] for token in rest if token.startswith("--")]
    if command.default_command is None:
        return None  # a noun alone, as `lorayard adapters`
    arguments = command.assemble_argument_collection()
    if rest and not rest[0].startswith("-") and all(argument.index is None for argument in arguments):
        return f"it takes no {rest[0]} without an option's name"
    known = {name for argument in arguments for name in argument.names}
    known |= {"--help", "--version"}
    return next((f"it has no {name}" for name in given if name not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_of_the_page_is_one__f2(page: Path) -> None:
    app = make_app()
    wrong = {line: why for line, whole in written(page) if (why := fault(app, line, whole=whole)) is not None}
    assert wrong == {}


def test_there_are_many_of_them() -> None:
    assert sum(1 for page in PAGES for _ in written(page)) >= LEAST


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("lorayard submti x", True),
        ("lorayard submti x", False),
        ("lorayard submit x --wiat", True),
        ("lorayard submit --wiat", False),
        ("lorayard dead lss", False),
        ("lorayard dead show", True),
        ("lorayard strikes add NAME", False),
        ("lorayard dead ls --limit 0", True),
    ],
)
def test_one_that_is_wrong_is_found(line: str, whole: bool) -> None:
    assert fault(make_app(), line, whole=whole) is not None
