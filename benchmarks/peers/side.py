"""One peer's processes: a server of its own, one worker and one producer, all ended when its turn is over."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.peers.peers import SIDES, Peer, Server
from benchmarks.peers.turn import Turn, cpu_seconds

from lorayard_cli.embedded.bus_server import prepare_bus_server

START_SECONDS = 20.0
"""A worker's imports and its first job, on a busy machine."""
TURN_SECONDS = 40.0
WARM_UPS = (50, 300)
"""The first meets a worker that still starts."""
LOG_LINES = 3


class PeerError(Exception):
    """A peer that cannot be measured here; the text is the reason."""


class PeerSide:
    """A peer that is running: `turn()` is one."""

    def __init__(self, peer: Peer, python: Path, folder: Path, *, payload_bytes: int) -> None:
        self._peer = peer
        self._python = python
        self._folder = folder
        self._payload_bytes = payload_bytes
        self._log = folder / "log"
        self._held = ExitStack()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._producer: subprocess.Popen[str] | None = None
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def turn(self, jobs: int) -> Turn:
        """Run jobs, from the first publish to the end of the last one.

        Raises:
            PeerError: it ended, or took too long.
        """
        before = cpu_seconds()
        seconds = self._ask(jobs, TURN_SECONDS)
        return Turn(jobs=jobs, seconds=seconds, cpu_seconds=cpu_seconds() - before)

    def _start(self) -> None:
        if not self._python.exists():
            raise PeerError(f"{self._python} is missing: `make bench-peers` makes it")
        os.mkfifo(self._folder / "ticks")
        urls = self._start_servers()
        environment = {
            **os.environ,
            **urls,
            "PEER_FOLDER": str(self._folder),
            "PEER_PAYLOAD_BYTES": str(self._payload_bytes),
            "PYTHONPATH": str(SIDES),  # and none of ours
        }
        self._producer = self._child("producer", environment)
        threading.Thread(target=self._read, args=(self._producer.stdout,), daemon=True).start()
        self.versions = self._answer(START_SECONDS)["ready"]
        self._child("worker", environment)
        for jobs in WARM_UPS:
            self._ask(jobs, START_SECONDS)

    def _start_servers(self) -> dict[str, str]:
        started: dict[Server, str] = {}
        for server in (self._peer.server, self._peer.results_on):
            if server is not None and server not in started:
                started[server] = self._held.enter_context(running_server(server, self._folder))
        urls = {"PEER_URL": started[self._peer.server]}
        if self._peer.results_on is not None:
            urls["PEER_RESULTS_URL"] = started[self._peer.results_on]
        return urls

    def _child(self, role: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        command = [str(self._python), str(SIDES / f"{self._peer.script}.py"), role]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if role == "producer" else {}
        log = self._held.enter_context(self._log.open("ab"))
        output: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **pipes}
        return self._held.enter_context(
            _ended_at_last(
                subprocess.Popen(
                    command, env=environment, cwd=self._folder, text=True, start_new_session=True, **output
                )
            )
        )

    def _ask(self, jobs: int, seconds: float) -> float:
        assert self._producer is not None
        assert self._producer.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: the answer says so
            self._producer.stdin.write(json.dumps({"jobs": jobs, "seconds": seconds}) + "\n")
            self._producer.stdin.flush()
        took = self._answer(2 * seconds)["seconds"]
        if took is None:
            raise PeerError(f"{jobs} jobs were not done in {seconds:.0f} s{self._last_words()}")
        return float(took)

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise PeerError(f"its producer said nothing for {seconds:.0f} s{self._last_words()}") from None
        if not line:
            raise PeerError(f"its producer ended{self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return f": {' | '.join(lines[-LOG_LINES:])}" if lines else ""


@contextmanager
def running_server(server: Server, folder: Path) -> Generator[str]:
    """A server on a free loopback port with its store below the folder; gives its URL.

    Raises:
        PeerError: it is not installed, or did not start.
    """
    if server is Server.NATS:
        bus = prepare_bus_server(folder / "bus", port=0)
        command, url, port = bus.command(), bus.url, int(bus.url.rpartition(":")[2])
    else:
        port = _free_port()
        command, url = redis_command(folder, port), f"redis://127.0.0.1:{port}/0"
    quiet = subprocess.DEVNULL
    started = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    with _ended_at_last(started):
        _await_port(port, started)
        yield url


def redis_command(folder: Path, port: int) -> list[str]:
    """Debian's own settings but for place and port.

    Raises:
        PeerError: there is no redis-server.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise PeerError("no redis-server on PATH: `apt-get install redis-server`")
    place = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    return [program, *place, "--appendonly", "no"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[Any]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.02)
    raise PeerError(f"{process.args!r} did not start")


@contextmanager
def _ended_at_last(process: subprocess.Popen[Any]) -> Generator[subprocess.Popen[Any]]:
    """Killed with all that it has started: nothing of a turn is needed after it."""
    try:
        with process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.wait()
