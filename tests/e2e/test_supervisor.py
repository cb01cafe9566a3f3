"""The supervisor of a yard's children, with children of a line or two."""

from __future__ import annotations

import asyncio
import sys

import pytest

from lorayard_cli.embedded.backoff import RestartPolicy
from lorayard_cli.embedded.child import ChildChange, ChildSpec
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
