"""Gateways that are killed in the middle of a batch: every line of it stands once in the end (E3, E6, E7)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from tests.e2e.conftest import CLEAN_ENVIRONMENT, FOLDERS, Up, command, start_up, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LINES = 1500
KILLS = 4
SEED = 20261123
OVER = ("completed", "failed", "expired", "cancelled")


@contextmanager
def another_gateway(up: Up, folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """A gateway of the yard that runs batches."""
    with (folder / "gateways.log").open("ab") as log:
        process = subprocess.Popen(
            command("gateway", "--port", "0", "--no-keys"),
            cwd=up.folder,
            env={**CLEAN_ENVIRONMENT, **FOLDERS, "LORAYARD_GATEWAY_BATCHES_DIR": str(folder / "work")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ids(client: openai.OpenAI, file: str | None) -> list[str]:
    text = "" if file is None else client.files.content(file).text
    return [json.loads(line)["custom_id"] for line in text.splitlines()]


def test_every_line_stands_once_though_its_gateways_are_killed__e3(tmp_path: Path) -> None:
    up = start_up(tmp_path, "--gateway", "0", env={"LORAYARD_GATEWAY_BATCHES_AT_ONCE": "0"})
    draw = random.Random(SEED)
    lines = [
        {
            "custom_id": str(number),
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": "base" if number % 10 else "acme/tiny/none", "prompt": "x " * 20},
        }
        for number in range(LINES)
    ]
    try:
        with openai.OpenAI(base_url=f"{up.state['gateway']}/v1", api_key="none", max_retries=5) as client:
            body = "".join(json.dumps(one) + "\n" for one in lines).encode()
            file = client.files.create(file=("in.jsonl", body), purpose="batch")
            batch = client.batches.create(
                input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
            )

            def done() -> int:
                counts = client.batches.retrieve(batch.id).request_counts
                return 0 if counts is None else counts.completed + counts.failed

            for kill in range(KILLS):
                with another_gateway(up, tmp_path) as process:
                    share = LINES // (KILLS + 1)
                    wanted = draw.randrange(kill * share, (kill + 1) * share) + 1
                    wait_until(lambda: done() >= wanted, f"{wanted} lines are done", seconds=90)  # noqa: B023  # at once
                    os.kill(process.pid, signal.SIGKILL)
            with another_gateway(up, tmp_path):
                wait_until(
                    lambda: client.batches.retrieve(batch.id).status in OVER, "it has ended", seconds=90
                )
                assert len(list((tmp_path / "work").iterdir())) <= 1, "what killed gateways left is removed"
            told = client.batches.retrieve(batch.id)
            assert told.status == "completed"
            output, errors = ids(client, told.output_file_id), ids(client, told.error_file_id)
            assert sorted([*output, *errors], key=int) == [str(number) for number in range(LINES)]
            assert set(errors) == {str(number) for number in range(0, LINES, 10)}
            assert told.request_counts is not None
            assert (told.request_counts.completed, told.request_counts.failed) == (len(output), len(errors))
            assert len(list(client.files.list())) == 3, "no file is left of a run that was killed"
    finally:
        up.end()
