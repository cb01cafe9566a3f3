"""What `lorayard adapters merge` refuses before it asks the bus, or fetches anything."""

from __future__ import annotations

import pytest

import lorayard_cli
from lorayard_cli.exit_codes import ExitCode

NOBODY = ("--url", "nats://127.0.0.1:1")


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [("a/b/c", "neg", "is not a version"), ("a/b", "1", "is not"), ("a/b/c@1", "1", "plain name")],
)
def test_a_target_that_cannot_be_called_so_is_refused_first(
    name: str, version: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["adapters", "merge", "a/b/one", "a/b/two", "--name", name, "--version", version]
    assert lorayard_cli.run([*given, *NOBODY]) == ExitCode.BAD_INPUT
    assert words in capsys.readouterr().err
