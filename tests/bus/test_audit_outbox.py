"""Audit records on their way: what the server says of one question counts for no other (F4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import structlog
from tests.bus.conftest import RunningServer, Yard

from lorayard_cli.commands import audit
from lorayard_cli.options import YardAddress
from lorayard_shared.audit.outbox import AuditOutbox
from lorayard_shared.owned_tasks import OwnedTasks

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
LARGEST_BYTES = 4096


async def test_a_late_answer_is_not_taken_for_the_next_questions__f4(
    own_yard: Yard, own_server: RunningServer, wait_until: WaitUntil
) -> None:
    """The server stands while two questions are asked, and then says yes to the first, which nobody waits for
    any more, and no to the second: what that was about is not stored, and must not be missed."""
    yard, tasks = own_yard, OwnedTasks(structlog.get_logger())
    outbox, stream = AuditOutbox(yard.bus, role="d", spawn=tasks.spawn), yard.bus.subjects.stream("audit")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "max_msg_size": LARGEST_BYTES})

    def put(job: str, text: str = "") -> None:
        outbox.put(yard.bus.subjects.job_audit("decision", "acme", job), {"job": job, "text": text})

    own_server.pause()
    put("first")
    put("refused", "x" * 2 * LARGEST_BYTES)
    await wait_until(lambda: outbox.lost == 1)  # the first was given up, and the second is asked about
    own_server.go_on()
    await wait_until(lambda: outbox.lost == 2)
    put("third")
    await tasks.settle()

    async def stored() -> bool:
        return await yard.left("audit") == 2

    await wait_until(stored)
    address = YardAddress(url=yard.settings.url, prefix=yard.settings.prefix)
    assert await audit.verify(yard=address) == 0, "nothing is missing of what was stored"
