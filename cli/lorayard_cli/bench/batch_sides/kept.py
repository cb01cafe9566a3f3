"""What was measured already: a bench of most of an hour that is cut off goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from lorayard_cli.bench.figures import surroundings
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError

T = TypeVar("T")


class Kept:
    """Parts of one bench in a file, written after each; without a file nothing is kept.

    Raises:
        CommandError: the file is none of these, or of other sizes, another machine or other versions.
    """

    def __init__(self, path: Path | None, *, sizes: str) -> None:
        self._path = path
        self._told: dict[str, Any] = {"sizes": sizes, "surroundings": surroundings(), "parts": {}}
        if path is not None and path.exists():
            self._told = _read(path, self._told)

    def part(self, name: str, kind: type[T], measure: Callable[[], T]) -> T:
        """As it was measured before, or now."""
        schema = TypeAdapter(kind)
        if (before := self._told["parts"].get(name)) is not None:
            try:
                return schema.validate_python(before)
            except ValidationError as error:
                raise _unfit(self._path, f"its part {name!r} cannot be read") from error
        found = measure()
        self._told["parts"][name] = schema.dump_python(found, mode="json")
        if self._path is not None:
            self._path.write_text(json.dumps(self._told, indent=2) + "\n", encoding="utf-8")
        return found

    def end(self) -> None:
        """All is measured: the file has done its work."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _read(path: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        same = all(told[key] == wanted[key] for key in ("sizes", "surroundings"))
        parts = told["parts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unfit(path, "it cannot be read") from error
    if not same or not isinstance(parts, dict):
        raise _unfit(path, "it is of other sizes, another day, another machine or other versions")
    return {**wanted, "parts": parts}


def _unfit(path: Path | None, why: str) -> CommandError:
    return CommandError(ExitCode.USAGE, "usage", f"{path} cannot be gone on with: {why}", field="parts")
