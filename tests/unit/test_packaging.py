"""Every part ships, is typed, and claims no import name that a host service may own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("*/lorayard*/__init__.py"))


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_part_is_built_and_typed() -> None:
    """A part missing from pyproject works in a checkout and is lost in the wheel."""
    build = _pyproject()["tool"]["hatch"]["build"]
    assert build["dev-mode-dirs"] == sorted(package.parent.name for package in PACKAGES)
    assert build["targets"]["wheel"]["packages"] == sorted(str(p.relative_to(ROOT)) for p in PACKAGES)
    assert not [package for package in PACKAGES if not (package / "py.typed").exists()]


def test_every_part_is_under_the_import_contracts() -> None:
    contracts = _pyproject()["tool"]["importlinter"]
    assert sorted(contracts["root_packages"]) == sorted(package.name for package in PACKAGES)
    layers = " | ".join(contracts["contracts"][0]["layers"]).split(" | ")
    assert sorted(layers) == sorted(package.name for package in PACKAGES)


def test_no_folder_claims_a_plain_import_name() -> None:
    """`import schemas` in somebody's service must find their package, not ours."""
    assert not list(ROOT.glob("*/__init__.py"))


def test_no_folder_of_a_part_lacks_its_init() -> None:
    """Python would find it as a namespace here, and the wheel or a type checker would not."""
    bare = {
        module.parent
        for package in PACKAGES
        for module in package.rglob("*.py")
        if not (module.parent / "__init__.py").exists()
    }
    assert not bare


def test_the_clients_needs_are_few() -> None:
    """It lives in other people's services: what it brings along, they all get (A2)."""
    needs = {need.partition(">")[0] for need in _pyproject()["project"]["dependencies"]}
    assert needs == {"cronsim", "msgpack", "nats-py", "pydantic", "pydantic-settings", "structlog"}


def test_an_echo_yard_runs_with_the_embedded_extra_alone() -> None:
    """No torch: what `up --engine echo` and its children import is in that extra."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'transformers', 'peft', 'filelock', 'gguf')))\n"
        "import lorayard_cli.commands.up, lorayard_cli.commands.worker, lorayard_cli.bench.bus\n"
        "import lorayard_workers.app, lorayard_workers.adapters.catalog, lorayard_workers.tiny_model\n"
        "print(*sorted({'numpy', 'safetensors'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    embedded = " ".join(_pyproject()["project"]["optional-dependencies"]["embedded"])
    for package in done.stdout.split():
        assert package in embedded
