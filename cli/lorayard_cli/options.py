"""Options that every command takes, and how it finds its yard."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from lorayard_cli.embedded.data_folder import DEFAULT_FOLDER, YardState, running_yard
from lorayard_shared.settings import YardSettings, read_settings

COMMON = Group("Common", sort_key=100)


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How a command speaks."""

    json: Annotated[bool, Parameter(negative="")] = False
    """Print JSON to stdout, and nothing else there."""
    debug: Annotated[bool, Parameter(negative="")] = False
    """Show the traceback of an error."""


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True, slots=True, kw_only=True)
class YardAddress:
    """Which yard is meant."""

    url: str | None = None
    """Address of the bus, or several, with commas. Else LORAYARD_URL, else the yard on ./.lorayard, else port
    4222 here."""
    prefix: str | None = None
    """Prefix of the yard's names on the bus; else LORAYARD_PREFIX, else `yard`."""

    def settings(self) -> YardSettings:
        """Settings to connect with.

        Raises:
            SettingsError: one of them is wrong.
        """
        return read_settings(YardSettings, **self.given())

    def given(self) -> dict[str, object]:
        """What was decided here; the environment and the defaults decide the rest."""
        running = None
        if self.url is None and "LORAYARD_URL" not in os.environ:
            running = running_yard(data_folder())
        if running is None:
            return {"url": self.url, "prefix": self.prefix}
        return {"url": running.url, "prefix": self.prefix or running.prefix, **_operator(running)}


def _operator(running: YardState) -> dict[str, object]:
    """Who may read the keys of the yard that runs here is its operator, unless it says who else it is."""
    if running.security is None or "LORAYARD_CREDENTIALS_FILE" in os.environ:
        return {}
    from lorayard_cli.security.folder import SecurityFolder

    folder = SecurityFolder(Path(running.security))
    told = folder.variables(folder.read(), "operator")
    return {name.removeprefix("LORAYARD_").lower(): value for name, value in told.items()}


def no_negative(_kind: object, seconds: float | None) -> None:
    """Refuse a time that no clock shows.

    Raises:
        ValueError: it is below 0, or no number.
    """
    if seconds is not None and not seconds >= 0:
        raise ValueError(f"seconds from 0 up are needed, got {seconds}")


def at_least_one(_kind: object, count: int | None) -> None:
    """Refuse a number of things that would be none.

    Raises:
        ValueError: it is below 1.
    """
    if count is not None and count < 1:
        raise ValueError(f"a number from 1 up is needed, got {count}")


def data_folder(given: Path | None = None) -> Path:
    """The yard's folder: as given, else LORAYARD_DATA, else `.lorayard` in the working folder."""
    return given or Path(os.environ.get("LORAYARD_DATA", "") or DEFAULT_FOLDER)


def models_folder() -> Path:
    """Where base models are kept."""
    return Path(os.environ.get("LORAYARD_MODELS_DIR", "") or "~/.cache/lorayard/models").expanduser()


TEXT = Output()
NEAREST = YardAddress()
"""Defaults of every command: text, from the nearest yard."""
