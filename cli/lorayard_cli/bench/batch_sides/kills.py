"""kill -9 of the runner, a worker and the bus at random points of a batch: every line stands once in the end.

The moments are drawn from a seed. A killed runner, and one that found no bus at its start, is started
again with `--resume`, as a user would; workers and bus come back by their supervisor.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lorayard import Client
from lorayard.batch import BatchState, read_manifest
from lorayard_cli.bench.batch_sides.lines import bytes_of, ids, write_lines
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.output import note
from lorayard_shared.bus.connection import connect

RUNNER, WORKER, BUS = "runner", "worker", "bus"
VICTIMS = (RUNNER, RUNNER, WORKER, BUS)
"""The runner twice as often: it is what is tested."""

ADAPTERS = ("acme/tiny/a", "acme/tiny/b", "acme/tiny/c", "base")

EARLY_SHARE = 0.25
EARLY_SECONDS = 2.0
"""So many kills come so soon after the one before: a runner may not have read its files by then."""

MOST_BYTES = 60_000
"""All others come once the output has grown by up to so much: a hundred lines, and parts of one."""

IN_FLIGHT = 48
END_SECONDS = 600.0


@dataclass(slots=True)
class KillReport:
    """What stood in the files after all of it."""

    lines: int
    killed: Counter[str] = field(default_factory=Counter[str])
    runs: int = 0
    missing: int = 0
    twice: int = 0
    failed: int = 0
    published_twice: int = 0
    """Jobs beyond one for each line, over all runs."""

    @property
    def holds(self) -> bool:
        """Every line stands once, and was asked once."""
        return not (self.missing or self.twice or self.failed or self.published_twice)


class Runner:
    """`lorayard batch run`, as often as it takes."""

    def __init__(self, folder: Path, url: str) -> None:
        self.output, self.errors = folder / "out.jsonl", folder / "out.errors.jsonl"
        self._log = folder / "runner.log"
        self._command = [
            *(sys.executable, "-m", "lorayard_cli", "batch", "run", str(folder / "in.jsonl")),
            *("--output", str(self.output), "--resume", "--in-flight", str(IN_FLIGHT), "--url", url),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.runs = 0

    def start(self) -> None:
        """Begin, or go on."""
        self.runs += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def ended(self) -> int | None:
        """Its exit code, once it has one."""
        return None if self._process is None else self._process.poll()

    def keep_on(self) -> None:
        """Start again where the bus was away at its start: it says so and ends, as every command does."""
        if self.ended == ExitCode.NO_BUS:
            self.start()

    def kill(self) -> None:
        """At once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def told(self) -> str:
        """The end of what it printed."""
        return self._log.read_text(errors="replace")[-2000:]


async def kill_at_random(plan: YardPlan, folder: Path, *, lines: int, kills: int, seed: int) -> KillReport:
    """A batch of so many lines, over four adapters, with so many kills.

    Raises:
        RuntimeError: it ended before all of them, or did not end.
    """
    draw = random.Random(seed)
    write_lines(folder / "in.jsonl", (draw.choice(ADAPTERS) for _ in range(lines)))
    victims = [draw.choice(VICTIMS) for _ in range(kills)]
    report = KillReport(lines=lines)
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings):
        runner = Runner(folder, yard.url)
        runner.start()
        try:
            await _kill_all(yard, runner, victims, draw, report)
            await _end(runner)
        finally:
            runner.kill()
        report.published_twice = await _published(yard) - lines
    report.runs = runner.runs
    _audit(runner, report)
    return report


async def _kill_all(
    yard: EmbeddedYard, runner: Runner, victims: Sequence[str], draw: random.Random, report: KillReport
) -> None:
    for number, victim in enumerate(victims, 1):
        await _moment(runner, draw)
        runner.keep_on()
        if runner.ended is not None:
            raise RuntimeError(f"it ended by itself before kill {number}: {runner.told()}")
        if victim == RUNNER:
            runner.kill()
            runner.start()
        else:
            name = "bus" if victim == BUS else draw.choice(yard.plan.worker_names)
            await _kill_child(yard, name)
        report.killed[victim] += 1
        if number % 10 == 0:
            note(f"kill {number}/{len(victims)}")


async def _moment(runner: Runner, draw: random.Random) -> None:
    """When the next kill is due."""
    grown = bytes_of(runner.output) + draw.randrange(1, MOST_BYTES)
    pause = draw.uniform(0.0, EARLY_SECONDS)
    if draw.random() < EARLY_SHARE:
        await asyncio.sleep(pause)
        return
    async with asyncio.timeout(END_SECONDS):
        while bytes_of(runner.output) < grown and runner.ended in (None, ExitCode.NO_BUS):
            runner.keep_on()
            await asyncio.sleep(0.005)


async def _kill_child(yard: EmbeddedYard, name: str) -> None:
    while (pid := yard.pids[name]) is None:  # noqa: ASYNC110  # the supervisor tells only when asked
        await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


async def _end(runner: Runner) -> None:
    async with asyncio.timeout(END_SECONDS):
        while runner.ended in (None, ExitCode.NO_BUS):
            runner.keep_on()
            await asyncio.sleep(0.1)
    if runner.ended != 0:
        raise RuntimeError(f"the batch ended with {runner.ended}: {runner.told()}")


async def _published(yard: EmbeddedYard) -> int:
    """How many jobs the yard was ever given by a client: retries of the yard itself come by its schedules."""
    async with await connect(yard.settings, name="auditor") as bus:
        info = await bus.js.stream_info(bus.subjects.stream("jobs"))
        return info.state.last_seq


def _audit(runner: Runner, report: KillReport) -> None:
    found = ids(runner.output, runner.errors)
    report.missing = sum(f"line-{number}" not in found for number in range(1, report.lines + 1))
    report.twice = sum(count > 1 for count in found.values())
    manifest = read_manifest(runner.output)
    report.failed = manifest.counts.failed + manifest.counts.bad
    if manifest.state is not BatchState.COMPLETED:
        raise RuntimeError(f"the manifest says {manifest.state}")
