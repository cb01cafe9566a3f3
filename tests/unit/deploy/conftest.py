"""The files of deploy/ and compose.yaml, read as the tools that run them would."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclopts import CycloptsError

from lorayard_cli.app import make_app
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.settings import YardSettings, read_settings
from lorayard_workers.settings import WorkerSettings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"

Json = dict[str, Any]

SETTINGS: Mapping[str, type[YardSettings]] = {
    "dispatcher": DispatcherSettings,
    "worker": WorkerSettings,
    "gateway": GatewaySettings,
    "exporter": YardSettings,
}
"""Which process reads which."""

_GIVEN = re.compile(r"\$\{(\w+):-([^}]*)\}")


def filled(text: str) -> str:
    """A compose file with nothing set in the environment around it."""
    return _GIVEN.sub(lambda found: found[2], text).replace("$$", "$")


def documents(text: str) -> list[Json]:
    """All of a file of YAML."""
    return [found for found in yaml.safe_load_all(text) if found is not None]


def parse_command(words: Sequence[str]) -> str:
    """Check a command line of ours, as a shell or an entry point begins it; which process it is."""
    tokens = list(words)
    if tokens[:2] == ["sh", "-c"]:
        tokens = tokens[2].removeprefix("exec ").replace('"', "").split()
    assert tokens[0].endswith("lorayard"), tokens
    try:
        make_app().parse_args(tokens[1:], print_error=False, exit_on_error=False)
    except CycloptsError as error:
        pytest.fail(f"{words}: {error}")
    return tokens[1]


def check_environment(part: str, environment: Mapping[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is a setting of that process, and it takes every value."""
    ours = {name: value for name, value in environment.items() if name.startswith("LORAYARD_")}
    fields = {f"LORAYARD_{name.upper()}" for name in SETTINGS[part].model_fields}
    assert ours.keys() - fields == set(), part
    for name in [name for name in os.environ if name.startswith("LORAYARD_")]:
        monkeypatch.delenv(name)
    for name, value in ours.items():
        monkeypatch.setenv(name, str(value))
    read_settings(SETTINGS[part])


@pytest.fixture(scope="session")
def compose() -> Json:
    """compose.yaml, with nothing set around it."""
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    document: Json = yaml.safe_load(filled(text))
    return {key: value for key, value in document.items() if not key.startswith("x-")}
