"""Every Python snippet of the page on testing runs, and its fixtures are there for a project that asks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/testing.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)

CONFTEST = 'pytest_plugins = ["lorayard.testing.fixtures"]\n'
TESTS = """
def test_inline(inline_yard):
    with inline_yard.sync_client() as client:
        assert client.generate("hello", timeout_seconds=10).text == "hello"

def test_manual(memory_yard):
    with memory_yard.sync_client() as client:
        client.submit("hello")
    assert len(memory_yard.drain().runs) == 1

def test_real(real_yard):
    with real_yard.sync_client() as client:
        assert client.generate("hello", timeout_seconds=20).text == "hello"
"""
WITHOUT_EXTRA = "import sys\nsys.modules['cyclopts'] = None\n"


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_of_the_page_runs(number: int) -> None:
    exec(compile(SNIPPETS[number], f"{PAGE.name}, snippet {number + 1}", "exec"), {"__name__": "__main__"})


def _pytest(folder: Path, conftest: str, *, ci: str) -> str:
    """What a project hears that has pytest and no plugins."""
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_service.py").write_text(TESTS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rsE", "--rootdir", str(folder)],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


@pytest.mark.e2e
def test_a_project_gets_the_yards_by_pytest_alone(tmp_path: Path) -> None:
    assert "3 passed" in _pytest(tmp_path, CONFTEST, ci="1")


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 passed, 1 skipped"), ("1", "2 passed, 1 error")])
def test_without_the_extra_a_real_yard_is_skipped_and_fails_in_ci(
    tmp_path: Path, ci: str, outcome: str
) -> None:
    told = _pytest(tmp_path, WITHOUT_EXTRA + CONFTEST, ci=ci)
    assert outcome in told
    assert "cyclopts is not installed: pip install 'lorayard[embedded]'" in told
