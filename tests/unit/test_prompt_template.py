"""An adapter may bring the form of its prompts along: text around a place, nothing evaluated (G5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import read_adapter
from lorayard_shared.adapters.prompt_template import TEMPLATE_NAME, fill, read_prompt_template
from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.tiny_model import make_tiny_adapter


def test_the_prompt_goes_where_the_template_says() -> None:
    assert fill("Text: {prompt}\n###\n", "hello") == "Text: hello\n###\n"


def test_braces_are_plain_text_in_prompt_and_template() -> None:
    """G5: `str.format` would look up attributes; this does not look up anything."""
    assert fill("{0.__class__} {prompt} {x}", "{prompt} {1}") == "{0.__class__} {prompt} {1} {x}"


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert read_prompt_template(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no place", "0 times"),
        (b"{prompt} and {prompt}", "2 times"),
        (b"\xff{prompt}", "not UTF-8"),
        (b"x" * 9000 + b"{prompt}", "more than 8192"),
    ],
)
def test_a_template_that_cannot_be_used_refuses_the_adapter(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """G3: it would otherwise serve prompts the adapter does not understand."""
    (tmp_path / TEMPLATE_NAME).write_bytes(content)

    with pytest.raises(AdapterRefusedError, match=reason):
        read_prompt_template(tmp_path)


def test_the_template_is_part_of_the_identity(tmp_path: Path) -> None:
    """D1: other words around the prompt are other answers."""
    folder = make_tiny_adapter(tmp_path / "acme" / "tiny" / "a" / "1", seed=1)
    plain = adapter_digest(read_adapter(folder))
    (folder / TEMPLATE_NAME).write_text("Q: {prompt}\nA:")

    catalog = CatalogScanner(root=tmp_path).scan()

    assert catalog.entries[0].digest != plain
    assert catalog.prompt_templates() == {catalog.entries[0].digest: "Q: {prompt}\nA:"}
