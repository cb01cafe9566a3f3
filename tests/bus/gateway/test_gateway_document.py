"""The OpenAPI document is true: schemathesis asks what it allows, and what it does not (E7)."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from tests.bus.gateway.conftest import Door

pytestmark = [pytest.mark.bus, pytest.mark.timeout(400)]  # two minutes on two busy cores

EXAMPLES = 8
"""Drawn for each operation, after the thousand cases that the document itself suggests."""

LEFT_OUT = "positive_data_acceptance"
"""Fields that do not go together (`top_logprobs` without `logprobs`, a conversation without a word in it) are
a 400 that names them; no schema says which do."""


async def test_every_answer_is_as_the_document_says__e7(door: Door, tmp_path: Path) -> None:
    # One worker: with several, schemathesis has drawn from one schema in two threads at once, and failed.
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{door.url}/openapi.json",
        f"--header=Authorization: Bearer {door.key}",
        f"--max-examples={EXAMPLES}",
        "--phases=coverage,fuzzing",
        f"--exclude-checks={LEFT_OUT}",
        "--generation-deterministic",
        "--suppress-health-check=all",
        "--no-color",
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path
    )
    told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    found = re.search(r"Tested: (\d+)", told)
    assert found is not None, told
    assert int(found[1]) >= 6
