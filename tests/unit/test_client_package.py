"""The client is a guest in other people's services: light, silent, and without model code."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client as PlainNatsClient

from lorayard_shared.bus.nats_client import NatsClient

LOADED = """
import sys, logging, structlog, lorayard
heavy = {"torch", "transformers", "peft", "cyclopts", "lorayard_cli", "lorayard_workers"} & set(sys.modules)
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
