"""Libraries that only some calls need: the client runs without them, and says which extra brings them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from lorayard.errors import ExtraMissingError

_BROUGHT = {
    "documents": frozenset({"charset_normalizer", "pypdf", "tokenizers"}),
    "office": frozenset({"markitdown"}),
    "adapters": frozenset({"numpy", "regex"}),
    "semantic": frozenset({"numpy", "safetensors", "tokenizers"}),
    "routing": frozenset({"numpy", "safetensors", "sklearn", "threadpoolctl", "tokenizers"}),
}
"""Extra -> the packages that it brings. Any other module that is missing is our own mistake."""


@contextmanager
def needing(extra: str, what: str) -> Generator[None]:
    """Around an import of what an extra brings; `what` needs it, for people.

    Raises:
        ExtraMissingError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _BROUGHT[extra]:
            raise
        raise ExtraMissingError(extra=extra, package=package, what=what) from error
