"""A gateway that is killed loses nothing: the next life of it answers the same question once (E3, E7)."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import httpx
import openai
import pytest
from tests.e2e.conftest import start_up, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SENTENCE = "The quick brown fox."


def test_a_question_under_a_key_is_answered_once_over_a_kill__e3(tmp_path: Path) -> None:
    up = start_up(tmp_path, "--gateway", "0")
    try:
        paused = up.run("lanes", "pause", "normal", "--why", "so that the answer takes its time")
        assert paused.exit_code == 0, paused.err
        url, pid = up.state["gateway"], up.pid("gateway")
        assert pid is not None
        body = {"model": "base", "messages": [{"role": "user", "content": SENTENCE}]}
        cut: list[Exception] = []

        def ask() -> None:
            try:
                httpx.post(
                    f"{url}/v1/chat/completions", json=body, headers={"idempotency-key": "k"}, timeout=60
                )
            except httpx.HTTPError as error:
                cut.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(
            lambda: bool(up.run("status", "--json").document["queue"]["unfinished"]), "the job is there"
        )
        os.kill(pid, signal.SIGKILL)
        asking.join()
        assert cut, "the connection went with the gateway"
        wait_until(lambda: up.pid("gateway") not in (None, pid), "the gateway lives again")
        assert up.run("lanes", "resume", "normal").exit_code == 0
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=20) as client:
            answers = [
                client.chat.completions.create(
                    model="base",
                    messages=[{"role": "user", "content": SENTENCE}],
                    extra_headers={"idempotency-key": "k"},
                )
                for _ in range(2)
            ]
        assert {one.choices[0].message.content for one in answers} == {SENTENCE}
        assert len({one.id for one in answers}) == 1
    finally:
        up.end()
