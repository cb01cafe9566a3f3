"""Tasks with an owner: none is lost, none fails unseen, none outlives its owner."""

from __future__ import annotations

import asyncio

import structlog
from structlog.testing import capture_logs

from lorayard_shared.logs import Event
from lorayard_shared.owned_tasks import OwnedTasks


def owned() -> OwnedTasks:
    return OwnedTasks(structlog.get_logger())


async def test_settling_waits_for_what_the_tasks_themselves_start() -> None:
    tasks, done = owned(), list[str]()

    async def second() -> None:
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.spawn(second(), "second")
        done.append("first")

    tasks.spawn(first(), "first")
    await tasks.settle()
    assert done == ["first", "second"]


async def test_a_failure_is_logged_under_the_name_of_its_task() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    tasks = owned()
    with capture_logs() as logs:
        tasks.spawn(fail(), "division")
        await tasks.settle()
    assert [(entry["event"], entry["task"]) for entry in logs] == [(Event.LOOP_FAILED, "division")]
    assert tasks.failed == 1


async def test_an_end_cancels_what_is_under_way_and_logs_no_failure() -> None:
    started, ended = asyncio.Event(), list[str]()

    async def wait_for_ever() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.append("over")

    tasks = owned()
    before = asyncio.all_tasks()
    with capture_logs() as logs:
        tasks.spawn(wait_for_ever(), "waits")
        await started.wait()
        await tasks.end()
    assert ended == ["over"]
    assert asyncio.all_tasks() == before
    assert logs == []


async def test_an_end_with_nothing_under_way_is_at_once() -> None:
    await owned().end()
