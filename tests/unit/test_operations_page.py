"""The page for operators names every setting, with its default, and none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.settings import YardSettings
from lorayard_workers.settings import WorkerSettings

PAGE = Path(__file__).parents[2] / "docs/operations.md"
KINDS = (YardSettings, DispatcherSettings, WorkerSettings, GatewaySettings)
OTHERS = {"LORAYARD_DATA"}
"""Read by the commands around an embedded yard."""


def documented() -> dict[str, str]:
    """Variable -> the cell of its default; a row may have several of each."""
    found: dict[str, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `LORAYARD_"):
            continue
        names, defaults, _ = line.strip("| ").split(" | ", 2)
        variables = re.findall(r"`(LORAYARD_\w+)`", names)
        parts = defaults.split(", ") if len(variables) > 1 else [defaults]
        for place, variable in enumerate(variables):
            found[variable] = parts[min(place, len(parts) - 1)].strip("`")
    return found


def test_every_setting_is_on_the_page_and_none_else() -> None:
    settings = {f"LORAYARD_{name.upper()}" for kind in KINDS for name in kind.model_fields}
    assert documented().keys() == settings | OTHERS


@pytest.mark.parametrize("kind", [WorkerSettings, DispatcherSettings, YardSettings])
def test_simple_defaults_are_those_of_the_code(kind: type[YardSettings]) -> None:
    told = documented()
    for name, field in kind.model_fields.items():
        cell, default = told[f"LORAYARD_{name.upper()}"], field.default
        if default is PydanticUndefined or isinstance(default, Path) or name in {"slot_bytes", "name"}:
            continue
        if isinstance(default, bool):
            assert cell == str(default).lower(), name
        elif isinstance(default, int | float) and "iB" not in cell:
            assert float(cell.split(";")[0]) == default, name
        elif isinstance(default, int):
            number, unit = cell.removesuffix(" each").split()
            assert int(number) << {"MiB": 20, "GiB": 30}[unit] == default, name
        elif isinstance(default, str):
            assert cell == default, name
