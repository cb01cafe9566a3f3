"""The supervisor of a yard's children, with children of a line or two."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.child import ChildChange, ChildSpec, ChildState
from lorayard_cli.embedded.supervisor import ChildGivenUpError, Supervisor
from lorayard_cli.exit_codes import ExitCode

pytestmark = pytest.mark.e2e


def supervisor() -> Supervisor:
    def ignore(*_: object) -> None:
        """Nobody listens."""

    return Supervisor(policy=RestartPolicy(), on_change=ignore, on_line=ignore)


def child(code: str, *, name: str = "c", stop_seconds: float = 10.0) -> ChildSpec:
    return ChildSpec(name=name, command=(sys.executable, "-I", "-S", "-c", code), stop_seconds=stop_seconds)


async def test_work_that_loses_a_cancel_ends_with_a_child_that_can_never_run() -> None:
    """Once it asked for the missing child until its own limit: `lorayard up` hung for three minutes."""
    lost = False

    async def ask_again_and_again() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost = True  # as an answer in the same turn of the loop does

    owner = supervisor()
    owner.start(child("raise SystemExit(2)"))
    with pytest.raises(ChildGivenUpError) as caught:
        await owner.run(ask_again_and_again())
    assert caught.value.exit_code is ExitCode.USAGE
    assert lost


async def test_work_is_done_while_the_children_run() -> None:
    owner = supervisor()
    owner.start(child("import time; time.sleep(60)"))
    done: list[ChildChange | None] = []

    async def work() -> None:
        done.append(None)

    await owner.run(work())
    assert done
    await owner.stop(["c"])


async def test_a_child_that_is_told_to_stop_while_it_is_being_started_is_gone_in_its_time() -> None:
    """It may take the SIGTERM and not end: then it is killed, as one that runs."""
    owner = supervisor()
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    for turns in (0, 1, 2, 3, 5, 10, 50):
        name = f"after-{turns}"
        owner.start(child(stubborn, name=name, stop_seconds=0.2))
        for _ in range(turns):
            await asyncio.sleep(0)
        await owner.stop([name])
        assert owner.children[name].pid is None
        assert owner.children[name].state is ChildState.STOPPED


async def test_a_child_that_left_a_process_of_its_own_behind_is_stopped_with_it(
    wait_until: Callable[..., Awaitable[None]],
) -> None:
    """What it started holds its output open, so that it does not count as ended yet."""
    owner = supervisor()
    left = owner.start(child("import os, time; os.fork() or time.sleep(600)", stop_seconds=0.2))
    await wait_until(lambda: left.starts and left.pid is None)
    await owner.stop(["c"])
    assert left.state is ChildState.STOPPED
