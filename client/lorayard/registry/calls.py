"""How the blocking twins of the registry's parts have their work done."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Calls(Protocol):
    """Runs a coroutine on the client's loop and waits for it."""

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result."""
        ...
