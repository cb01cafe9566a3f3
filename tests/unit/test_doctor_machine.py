"""What `lorayard doctor` makes of a machine: its device, memory, files, disk, schedules."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lorayard_cli.checks.clocks import judge
from lorayard_cli.checks.device import check_device
from lorayard_cli.checks.finding import Finding, Level
from lorayard_cli.checks.machine import check_children, check_memory, check_ports, files_limit
from lorayard_cli.checks.queue import judge_schedules
from lorayard_cli.checks.room import account_room, judge_disk, stream_room
from lorayard_cli.embedded.bus_server import free_port
from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState
from lorayard_schemas.schedule import Ahead, Schedule, ScheduledRun, ScheduleState
from lorayard_workers.settings import WorkerSettings

NOW = 1_800_000_000.0
GPU = "echo '0, NVIDIA H100, 550.54, 81559, 100'"


async def levels(findings: AsyncIterator[Finding]) -> dict[str, list[Level]]:
    told: dict[str, list[Level]] = {}
    async for one in findings:
        assert one.level is Level.OK or one.mend
        told.setdefault(one.check, []).append(one.level)
    return told


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a tool of a driver may be put; torch is that of this machine."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


def put(driver: Path, script: str) -> None:
    tool = driver / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def torch(driver: Path, script: str) -> str:
    """In place of a Python with torch, whose loading takes seconds."""
    tool = driver / "python"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return str(tool)


async def test_no_gpu_is_well_unless_one_is_asked_for__f6(driver: Path) -> None:
    empty = driver / "dev"
    empty.mkdir()
    assert await levels(check_device("auto", nodes=empty)) == {"device": [Level.OK]}
    assert await levels(check_device("cpu", nodes=empty)) == {"device": [Level.OK]}
    assert await levels(check_device("cuda:1", nodes=empty)) == {"device": [Level.FAIL]}


async def test_a_gpu_without_a_driver_that_answers_is_named__f6(driver: Path) -> None:
    (driver / "nvidia0").touch()
    assert await levels(check_device("auto", nodes=driver)) == {"device": [Level.WARN]}
    put(driver, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    (finding,) = [one async for one in check_device("cuda", nodes=driver)]
    assert finding.level is Level.FAIL
    assert "Driver/library version mismatch" in finding.message


async def test_a_device_that_is_not_there_and_one_without_memory_are_named__f6(driver: Path) -> None:
    put(driver, GPU)
    python = torch(driver, "echo 12.4 True 1")
    told = [one async for one in check_device("cuda:3", nodes=driver, python=python)]
    assert "LORAYARD_DEVICE is cuda:3, and there is cuda:0" in told[0].message
    put(driver, "echo '0, NVIDIA H100, 550.54, 81559, 81000'")
    told = [one async for one in check_device("auto", nodes=driver, python=python)]
    assert told[0].level is Level.WARN
    assert "81000 of 81559 MiB used" in told[0].message
    assert (told[1].check, told[1].level) == ("torch", Level.OK)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo None False 0", "built without CUDA"),
        ("echo 'driver too old' >&2; echo 12.4 False 0", "finds no device: driver too old"),
        ("echo 'no such library' >&2; exit 1", "cannot be loaded: no such library"),
    ],
)
async def test_a_torch_that_cannot_use_the_device_is_named__f6(driver: Path, script: str, words: str) -> None:
    put(driver, GPU)
    told = [one async for one in check_device("cuda:0", nodes=driver, python=torch(driver, script))]
    assert told[0].level is Level.OK
    assert (told[1].level, words in told[1].message) == (Level.FAIL, True)


def test_clocks_within_a_second_or_the_doubt_about_it_agree__f6() -> None:
    assert judge("c", {"a": 0.9}).level is Level.OK
    assert judge("c", {"a": 1.4}, doubt=0.5).level is Level.OK
    assert judge("c", {"a": -1.6, "b": 0.0}).level is Level.WARN
    assert judge("c", {f"w{n}": 6.0 for n in range(9)}).message.count("ahead") == 5


def test_workers_that_may_take_more_than_there_is_are_warned_of__f6() -> None:
    settings = WorkerSettings(kv_bytes=2**30, host_bytes=2**30, wide_bytes=0)
    for workers, level in ((1, Level.OK), (3, Level.WARN)):
        (found,) = check_memory(settings, workers=workers, model_bytes=2**30, total_bytes=2**33)
        assert found.level is level
    on_gpu = settings.model_copy(update={"device": "cuda"})
    (found,) = check_memory(on_gpu, workers=3, model_bytes=2**30, total_bytes=2**33)
    assert found.level is Level.OK


def test_few_open_files_and_a_child_that_is_gone_are_named__f6() -> None:
    assert [files_limit(most).level for most in (64, 512, 1024, resource.RLIM_INFINITY)] == [
        Level.FAIL,
        Level.WARN,
        Level.OK,
        Level.OK,
    ]
    (found,) = check_children({"w1": None, "w2": os.getpid(), "w3": 2**22 + 1})
    assert "w1 has ended" in found.message


async def test_a_port_that_somebody_has_is_named__f6() -> None:
    assert await levels(check_ports({"LORAYARD_METRICS_PORT": None, "X": free_port(0)})) == {}


def test_how_full_a_stream_a_disk_and_an_account_are_is_judged__f6() -> None:
    found = [stream_room("jobs", "J", used, 100, "S").level for used in (10, 80, 95)]
    assert found == [Level.OK, Level.WARN, Level.FAIL]
    assert [next(judge_disk(10, free, Path("x"))).level for free in (9, 10)] == [Level.WARN, Level.OK]
    limited = {"storage": 96, "streams": 3, "limits": {"max_storage": 100, "max_streams": -1}}
    assert account_room(limited).level is Level.FAIL
    assert account_room({**limited, "limits": {"max_storage": -1}}).level is Level.OK
    assert account_room({**limited, "limits": {"max_storage": -1, "max_streams": 3}}).level is Level.WARN


def plan(**given: object) -> Schedule:
    values = {"name": "s", "tenant": "t", "cron": "* * * * *", "job": Job(id="s", prompt="x"), "since": 1.0}
    return Schedule.model_validate({**values, **given})


def state(**given: object) -> ScheduleState:
    return ScheduleState.model_validate({"name": "s", "tenant": "t", **given})


@pytest.mark.parametrize(
    ("made", "far", "words"),
    [
        (plan(), None, "never looked at"),
        (plan(since=NOW), None, None),
        (plan(paused=True), None, None),
        (plan(end=NOW - 1), state(), "is over"),
        (plan(), state(ahead=Ahead(at=NOW, due=NOW - 100, revision=1)), "100 s late"),
        (plan(), state(ahead=Ahead(at=NOW, due=NOW + 100, revision=1)), None),
        (
            plan(),
            state(runs=tuple(ScheduledRun(job=f"j{n}", at=1.0, state=ResultState.FAILED) for n in range(3))),
            "last three jobs all failed",
        ),
    ],
)
def test_a_schedule_that_is_dead_is_named__f6(
    made: Schedule, far: ScheduleState | None, words: str | None
) -> None:
    found = list(judge_schedules({"k": made}, {} if far is None else {"k": far}, NOW))
    assert [words in one.message for one in found if words is not None] == ([] if words is None else [True])
    assert words is not None or found == []
