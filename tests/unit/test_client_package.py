"""The client is a guest in other people's services: light, silent, and without model code."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client as PlainNatsClient

from lorayard_shared.bus.heard import read_headers
from lorayard_shared.bus.nats_client import NatsClient

LOADED = """
import sys, logging, structlog, lorayard
libraries = {"torch", "transformers", "peft", "numpy", "cyclopts", "opentelemetry", "cronsim"}
ours = {"lorayard_cli", "lorayard_dispatcher", "lorayard_workers", "lorayard_shared.explaining"}
heavy = (libraries | ours) & set(sys.modules)
assert not heavy, heavy
assert not structlog.is_configured() and not logging.getLogger().handlers
print(lorayard.__version__)
"""


def test_importing_the_client_loads_no_model_code_and_configures_no_logs() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


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
    told = {name: value for name, value in (asyncio.run(plain) or {}).items() if name != "Description"}
    assert (read_headers(raw) or {}) == told
