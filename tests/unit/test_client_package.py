"""The client is a guest in other people's services: light, silent, and without model code."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client as PlainNatsClient

import lorayard
from lorayard.exports import HOMES
from lorayard_shared.bus.heard import read_headers
from lorayard_shared.bus.nats_client import NatsClient

LOADED = """
import sys, logging
{statement}
libraries = {{"torch", "transformers", "peft", "numpy", "cyclopts", "opentelemetry", "cronsim"}}
loggers = {{"structlog", "rich"}}
parts = {{"lorayard_cli", "lorayard_dispatcher", "lorayard_workers", "lorayard_shared.explaining"}}
rare = {{"lorayard.registry", "lorayard.dead", "lorayard_shared.schedules", "lorayard_schemas.advert"}}
heavy = (libraries | loggers | parts | rare) & set(sys.modules)
assert not heavy, heavy
assert not logging.getLogger().handlers
"""
"""What a service that publishes jobs would wait for at its start, and never use."""


@pytest.mark.parametrize(
    "statement",
    [
        "import lorayard",
        "from lorayard import Client",
        "from lorayard import GenerateRequest, JobHandle, LorayardError, Result, SyncClient",
    ],
)
def test_importing_the_client_loads_nothing_heavy_and_configures_no_logs(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(statement=statement)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_no_part_of_it() -> None:
    code = "import sys, lorayard; print(*(name for name in sys.modules if name.startswith('lorayard')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"lorayard", "lorayard.exports"}


def _imports_for_type_checkers() -> dict[str, str]:
    """Name and module, as the first block of `lorayard/__init__.py` says."""
    tree = ast.parse(Path(lorayard.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in found for alias in node.names}


def test_type_checkers_and_programs_find_each_public_name_in_the_same_module() -> None:
    typed = _imports_for_type_checkers()
    assert sorted([*typed, "__version__"]) == sorted(lorayard.__all__)
    homes = {name: HOMES.get(name, "lorayard.errors") for name in typed}
    assert homes == typed
    assert set(HOMES) <= set(lorayard.__all__)


def test_each_public_name_is_there_and_no_other() -> None:
    for name in lorayard.__all__:
        assert getattr(lorayard, name) is getattr(lorayard, name)
        assert name in dir(lorayard)
    assert lorayard.__version__
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = lorayard.Clinet  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


@given(
    st.binary(max_size=80)
    | st.lists(st.sampled_from([b"A", b" ", b":", b"\r\n", b"\xff", b"\x1f"])).map(b"".join)
)
def test_the_fast_header_parser_reads_what_its_parent_reads(raw: bytes) -> None:
    fast = NatsClient._parse_header_lines(raw)  # pyright: ignore[reportPrivateUsage]
    assert fast == PlainNatsClient._parse_header_lines(raw)  # pyright: ignore[reportPrivateUsage]


STATUSES = (b"", b" 503", b" 404 No Messages", b" 100 Idle Heartbeat", b" abc", b" 4", b" ")


LINES = (b"A: 1", b"B:", b": 2", b"no colon", b"A B: 3")


@given(st.sampled_from(STATUSES), st.lists(st.sampled_from(LINES)))
def test_headers_are_read_as_nats_py_reads_them(status: bytes, lines: list[bytes]) -> None:
    raw = b"NATS/1.0" + status + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    plain = PlainNatsClient()._process_headers(raw)  # pyright: ignore[reportPrivateUsage]
    told = [
        {
            name: value for name, value in (found or {}).items() if name != "Description"
        }  # theirs may be a header
        for found in (asyncio.run(plain), read_headers(raw))
    ]
    assert told[0] == told[1]


def test_a_status_is_read_with_what_it_says() -> None:
    raw = b"NATS/1.0 404 No Messages\r\n\r\n"
    assert read_headers(raw) == {"Status": "404", "Description": "No Messages"}


def test_records_that_nobody_can_read_are_no_news_on_a_services_terminal() -> None:
    """What a yard's own process logs, a service that only asks must not print (A2)."""
    code = (
        "from lorayard_shared.jobs.adapter_registry import AdapterRegistry\n"
        "from lorayard_shared.jobs.rule_book import RuleBook\n"
        "assert AdapterRegistry().on_change('acme/a/b@1', b'spoiled') is None\n"
        "assert not RuleBook().on_change('rules', b'spoiled')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
