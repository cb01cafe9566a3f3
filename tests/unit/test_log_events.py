"""What processes of the yard log comes from one list (F4)."""

from __future__ import annotations

import re
from pathlib import Path

from lorayard_shared.logs import Event

ROOT = Path(__file__).parents[2]
PARTS = ("cli", "client", "dispatcher", "gateway", "schemas", "shared", "workers")
NO_PROCESS_OF_A_YARD = "cli/lorayard_cli/demo/train.py"
"""It makes the demo's adapters."""

_LITERAL = re.compile(
    r"(?<![a-z])log(?:ger)?(?:\(\))?\.(?:debug|info|warning|error|exception|critical)\(\s*f?[\"']"
)


def sources() -> dict[str, str]:
    found = [file for part in PARTS for file in (ROOT / part).rglob("*.py")]
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in found}
    assert texts.pop(NO_PROCESS_OF_A_YARD)
    return texts


def test_no_event_is_named_where_it_is_logged__f4() -> None:
    texts = sources()
    assert _LITERAL.search('_log.info(\n    "job_lost")'), "else this finds nothing"
    assert [name for name, text in texts.items() if _LITERAL.search(text)] == []


def test_every_event_is_logged_somewhere_and_named_after_what_happened__f4() -> None:
    texts = "\n".join(sources().values())
    named = {*re.findall(r"\bEvent\.([A-Z_]+)", texts)}
    assert {event.name for event in Event} == named
    assert all(event.value == event.name.lower() for event in Event)
