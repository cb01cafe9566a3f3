"""One supervised process: started, listened to, started again after a crash, stopped on demand."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from lorayard_cli.embedded.backoff import RestartPolicy, crashes_in_a_row, delay_seconds
from lorayard_cli.embedded.bound_to_parent import bound
from lorayard_cli.exit_codes import NO_CRASH, NO_USE_IN_RESTARTING

KEPT_LINES = 20
"""Of a child's last words, for the message when it is given up."""


class ChildState(StrEnum):
    """Where a child stands."""

    RUNNING = "running"
    WAITING = "waiting"
    """It crashed and starts again after the back-off."""
    STOPPED = "stopped"
    """It ended as it was told to."""
    GIVEN_UP = "given_up"
    """It cannot run as things are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to run a child. `shows` says which of its lines are worth showing."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_seconds: float = 10.0
    """How long it may take to end after SIGTERM before it is killed."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when the supervisor is gone."""
    shows: Callable[[str], bool] = lambda _line: True
    vital: bool = True
    """Whether the others end, too, when it cannot run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildChange:
    """Something happened to a child."""

    name: str
    state: ChildState
    pid: int | None = None
    exit_code: int | None = None
    retry_seconds: float | None = None
    last_words: tuple[str, ...] = ()


OnChange = Callable[[ChildChange], None]
OnLine = Callable[[str, str], None]


class Child:
    """Runs one spec until it is stopped or given up."""

    def __init__(self, spec: ChildSpec, policy: RestartPolicy, on_change: OnChange, on_line: OnLine) -> None:
        self.spec = spec
        self.starts = 0
        self.state = ChildState.WAITING
        self._policy = policy
        self._on_change = on_change
        self._on_line = on_line
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._ending = signal.SIGTERM
        self._over = asyncio.Event()
        self._last_words: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> ChildChange:
        """Keep the child running; returns its last change."""
        try:
            return await self._run_until_over()
        finally:
            self._over.set()

    async def _run_until_over(self) -> ChildChange:
        crashes = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            exit_code = await self._run_once()
            if self._stopping.is_set():
                return self._change(ChildState.STOPPED, exit_code=exit_code)
            if exit_code in NO_USE_IN_RESTARTING:
                return self._change(ChildState.GIVEN_UP, exit_code=exit_code)
            if exit_code in NO_CRASH:
                self._change(ChildState.WAITING, exit_code=exit_code, retry_seconds=0.0)
                continue
            crashes = crashes_in_a_row(crashes, time.monotonic() - started, self._policy)
            wait = delay_seconds(crashes, self._policy)
            self._change(ChildState.WAITING, exit_code=exit_code, retry_seconds=wait)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
        return self._change(ChildState.STOPPED)

    async def stop(self) -> None:
        """Ask it to end, and end it when it takes too long; one that is just being started, too."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_seconds):
                await self._over.wait()
        except TimeoutError:
            self.kill()
            await self._over.wait()

    def kill(self) -> None:
        """End it at once, with whatever it started."""
        self._stopping.set()
        self._ending = signal.SIGKILL
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or self._over.is_set():
            return
        with suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                # It leads its own group, which may outlive it and hold its output open.
                os.killpg(process.pid, number)
            elif process.returncode is None:
                os.kill(process.pid, number)

    async def _run_once(self) -> int:
        # A session of its own: Ctrl-C in the terminal reaches the supervisor only, which stops in order.
        process = await asyncio.create_subprocess_exec(
            *bound(self.spec.orphan_signal),
            *self.spec.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **self.spec.environment},
            start_new_session=True,
        )
        self._process = process
        self.starts += 1
        if self._stopping.is_set():
            self._signal(self._ending)  # told to stop while it was being started
        self._change(ChildState.RUNNING)
        assert process.stdout is not None
        await self._listen(process.stdout)
        exit_code = await process.wait()
        self._process = None
        return exit_code

    async def _listen(self, output: asyncio.StreamReader) -> None:
        # `readline` raises on a line longer than its buffer; a child's output must never end its supervision.
        rest = b""
        while block := await output.read(65_536):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._say(line)
        if rest:
            self._say(rest)

    def _say(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        if not line:
            return
        self._last_words.append(line)
        if self.spec.shows(line):
            self._on_line(self.spec.name, line)

    def _change(
        self, state: ChildState, *, exit_code: int | None = None, retry_seconds: float | None = None
    ) -> ChildChange:
        self.state = state
        change = ChildChange(
            name=self.spec.name,
            state=state,
            pid=self.pid,
            exit_code=exit_code,
            retry_seconds=retry_seconds,
            last_words=tuple(self._last_words) if state in (ChildState.GIVEN_UP, ChildState.WAITING) else (),
        )
        self._on_change(change)
        return change
