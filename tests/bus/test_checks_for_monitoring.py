"""`lorayard check` against a real bus: one line and an exit code, whatever is broken."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
import structlog
from tests.bus.conftest import RunningServer, Yard

from lorayard import Client, GenerateRequest
from lorayard.view.depths import MOST_AGES
from lorayard_cli.commands import check
from lorayard_cli.embedded.bus_server import free_port
from lorayard_cli.options import Output, YardAddress
from lorayard_schemas.job import Job, Lane
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

Verb = Callable[..., Awaitable[int]]
VERBS: dict[str, Verb] = {
    "bus": check.bus,
    "queue": check.queue,
    "workers": check.workers,
    "adapters": check.adapters,
    "dead": check.dead,
    "disk": check.disk,
    "all": check.all_,
}
JSON = Output(json=True)


def address(settings: YardSettings) -> YardAddress:
    return YardAddress(url=settings.url, prefix=settings.prefix)


async def test_each_verb_says_how_a_yard_is__f2(
    yard: Yard, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORAYARD_ACK_WAIT_SECONDS", str(yard.settings.ack_wait_seconds))
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="j", prompt="x"))
    await yard.result("j")
    for name, verb in VERBS.items():
        code = await verb(yard=address(yard.settings), output=JSON)
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (code, told["exit_code"], told["status"]) == (0, 0, "ok"), (name, told)
        assert told["figures"]
    assert await check.workers(warn=1, crit=0, yard=address(yard.settings)) == 1
    assert "\nLORAYARD WORKERS WARNING - 1 alive | 'workers'=1;;;0 " in f"\n{capsys.readouterr().out}"


async def test_jobs_without_a_worker_are_critical__f2(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    where = address(yard.settings)
    assert await check.workers(yard=where) == 2
    assert await check.queue(crit_depth=1, yard=where) == 2
    assert await check.queue(crit_depth=1, tenant="somebody-else", yard=where) == 0
    assert await check.all_(yard=where) == 2
    assert "workers: 0 alive" in capsys.readouterr().out


async def test_of_many_queues_each_is_asked_for_its_age__f2(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Client(settings=yard.settings) as client:
        names = [f"acme/tiny/task-{number}" for number in range(2 * MOST_AGES)]
        await client.submit_many([GenerateRequest("x", adapter=name) for name in names])
    where = address(yard.settings)
    assert await check.queue(lane=Lane.NORMAL, yard=where) == 0, "one look asks for some of them"
    assert f"{len(names)} jobs of normal" in capsys.readouterr().out


async def test_without_a_bus_the_bus_is_critical_and_the_rest_unknown__f2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nowhere = YardAddress(url=f"nats://127.0.0.1:{free_port(0)}", prefix="yard")
    with structlog.testing.capture_logs():  # which the command line shows on standard error, if at all
        codes = {name: await verb(yard=nowhere) for name, verb in VERBS.items()}
    assert codes == {**dict.fromkeys(VERBS, 3), "bus": 2, "all": 2}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("LORAYARD ")]
    assert len(lines) == len(VERBS)
    assert all("CRITICAL" in line or "UNKNOWN" in line for line in lines)


async def test_a_bus_without_a_yard_is_critical_for_the_bus__f2(
    bus_server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    where = YardAddress(url=bus_server.url, prefix="nothing-here")
    assert await check.bus(yard=where) == 2
    assert "NOTHING_HERE_JOBS is missing" in capsys.readouterr().out
    assert await check.queue(yard=where) == 3
