"""The yard serves with every socket but loopback refused: no code path reaches a cloud or a hub (A6)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lorayard import Client
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import TINY_ADAPTERS, provide
from lorayard_cli.embedded.yard import EmbeddedYard

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

LOOPBACK_ONLY = Path(__file__).parent / "loopback_only"

NO_PACKET_LEAVES = "192.0.2.1"
"""TEST-NET-1 of RFC 5737; the hook refuses before anything is sent."""


@pytest.fixture
def cut(tmp_path: Path) -> dict[str, str]:
    """Environment of a process that may only talk to its own machine."""
    return {
        "PYTHONPATH": str(LOOPBACK_ONLY),
        "LOOPBACK_ONLY_LOG": str(tmp_path / "refused.log"),
        "LOOPBACK_ONLY_ARMED": str(tmp_path / "armed.log"),
        "LORAYARD_MODELS_DIR": str(tmp_path / "models"),
    }


def test_the_cut_refuses_what_is_not_loopback(cut: dict[str, str]) -> None:
    """The control of the test below: it would notice a connection, and a look-up of a hub's name."""
    for attempt in (
        f"socket.create_connection(('{NO_PACKET_LEAVES}', 80), 1)",
        "socket.getaddrinfo('hub.invalid', 443)",
    ):
        done = subprocess.run(
            [sys.executable, "-c", f"import socket; {attempt}"],
            env={**os.environ, **cut},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "only loopback is allowed here" in done.stderr
    assert len(Path(cut["LOOPBACK_ONLY_LOG"]).read_text().splitlines()) == 2


async def test_the_yard_serves_with_the_network_cut(
    cut: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A6: dispatcher and worker load model, tokenizer, adapters, and answer, without an outside socket."""
    monkeypatch.setenv("LORAYARD_MODELS_DIR", cut["LORAYARD_MODELS_DIR"])
    wanted = YardPlan(data=tmp_path / "data", model="tiny", port=0, workers=1, threads=1, environment=cut)
    plan = provide(wanted, progress=lambda _line: None)

    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        named = await client.generate("hello", adapter=TINY_ADAPTERS[0], max_new_tokens=4)
        base = await client.generate("hello", max_new_tokens=4)

    assert named.adapter == TINY_ADAPTERS[0]
    assert base.adapter is None
    armed = Path(cut["LOOPBACK_ONLY_ARMED"]).read_text()
    assert "lorayard_cli worker" in armed
    assert "lorayard_cli dispatcher" in armed
    assert not Path(cut["LOOPBACK_ONLY_LOG"]).exists()
