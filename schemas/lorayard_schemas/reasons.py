"""What pydantic found wrong, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def plain_reason(found: ErrorDetails) -> str:
    """One error's words, without pydantic's name for a check of our own: `Value error, ...`."""
    return found["msg"].removeprefix("Value error, ")
