"""pytest fixtures; a service's conftest.py takes them by `pytest_plugins = ["lorayard.testing.fixtures"]`.

No entry point brings them: whoever installs `lorayard` shall not load it in every pytest of his. They need
pytest alone; a client is opened by the test, so that any plugin for coroutines will do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lorayard.testing.memory_yard import MemoryYard, Mode
from lorayard.testing.real_yard import RealYard, what_is_missing


@pytest.fixture
def memory_yard() -> MemoryYard:
    """A yard in memory whose jobs wait until the test drains it; it echoes."""
    return MemoryYard()


@pytest.fixture
def inline_yard() -> MemoryYard:
    """A yard in memory whose jobs are done as they are submitted; it echoes."""
    return MemoryYard(mode=Mode.INLINE)


@pytest.fixture(scope="session")
def real_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealYard]:
    """A real yard for all tests, with an echo worker; tests keep apart by tenants.

    Where it cannot be started the test is skipped with the reason; in CI (the variable `CI` is set) it fails.
    """
    if (missing := what_is_missing()) is not None:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    yard = RealYard(tmp_path_factory.mktemp("real-yard"))
    yard.start()
    yield yard
    yard.stop()
