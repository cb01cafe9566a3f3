"""The package without what its extras bring: it starts, and says what to install where one is missing."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = """
import asyncio, sys
from importlib.abc import MetaPathFinder

MISSING = {"numpy", "regex", "safetensors", "tokenizers", "sklearn", "threadpoolctl", "torch", "transformers"}

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Missing())
"""

STARTS = """
import lorayard, lorayard_dispatcher.app, lorayard_cli.app
from lorayard_shared.registry.semantic_watch import SemanticWatch
assert not MISSING & {name.partition(".")[0] for name in sys.modules}
print("all of it")
"""

CLIENT = """
from pathlib import Path
from lorayard import Client, ExtraMissingError
from lorayard.registry.publication import read_publication

async def push():
    read_publication(Path("."), name="a/b/c", version="1", actor="ana", options={}, max_bytes=1)

async def main():
    classifier = Client().rules.classifier
    for call in (
        push,
        lambda: classifier.put("."),
        lambda: classifier.train([]),
        lambda: classifier.evaluate([]),
    ):
        try:
            await call()
        except ExtraMissingError as error:
            assert isinstance(error, ImportError)
            print(f"{error.extra}: {error}")

asyncio.run(main())
"""

STANDING = """
from pathlib import Path
from lorayard_shared.registry import semantic_watch
try:
    semantic_watch._load(Path("."))
except semantic_watch.ClassifierUnusableError as error:
    print(error)
"""

COMMAND = """
from lorayard_cli.app import run_command
print(int(run_command(["routes", "train", "demo", "--dry-run", "--no-check"])))
"""


def told(script: str) -> tuple[list[str], str]:
    """Lines that a script prints where those packages are missing, and what it says beside."""
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED + script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines(), run.stderr


def test_client_dispatcher_and_commands_are_imported_without_them() -> None:
    assert told(STARTS)[0] == ["all of it"]


def test_every_call_that_needs_one_names_the_extra() -> None:
    lines, _ = told(CLIENT)
    assert lines == [
        "adapters: pushing an adapter needs regex; run: pip install 'lorayard[adapters]'",
        "semantic: reading a classifier needs numpy; run: pip install 'lorayard[semantic]'",
        "routing: training a classifier needs numpy; run: pip install 'lorayard[routing]'",
        "semantic: judging a classifier needs numpy; run: pip install 'lorayard[semantic]'",
    ]


def test_a_dispatcher_names_the_extra_that_a_classifier_needs() -> None:
    lines, _ = told(STANDING)
    assert lines == ["numpy is not installed; run: pip install 'lorayard[semantic]'"]


def test_a_command_names_it_in_one_line_and_ends_with_2() -> None:
    lines, beside = told(COMMAND)
    assert lines == ["2"]
    assert "pip install 'lorayard[" in beside
    assert "Traceback" not in beside
