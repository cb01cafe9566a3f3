"""The folder of an embedded yard: one running yard at a time, and a state file that other commands read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from lorayard_shared.errors import YardError

DEFAULT_FOLDER: Final = Path(".lorayard")
"""In the working folder, as `.git` is: two projects have two yards, and removing one is `rm -r`."""

STATE_NAME: Final = "yard.json"
LOCK_NAME: Final = "lock"


class YardRunsAlreadyError(YardError):
    """Another process runs a yard on this folder."""

    def __init__(self, *, folder: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"a yard already runs on {folder} ({who}); use that one, stop it with Ctrl-C"
            f"{f' or `kill {pid}`' if pid else ''}, or choose another folder with --data"
        )
        self.folder = folder
        self.pid = pid


class DataFolderError(YardError):
    """The folder cannot be used."""

    def __init__(self, *, folder: Path, reason: str) -> None:
        super().__init__(f"data folder {folder} cannot be used: {reason}; choose another with --data")
        self.folder = folder


@dataclass(frozen=True, slots=True, kw_only=True)
class YardState:
    """What a running yard says about itself."""

    url: str
    prefix: str
    pid: int
    model: str
    engine: str
    adapters: str | None = None
    """Folder that its workers read."""
    gateway: str | None = None
    """Where its gateway serves, if it has one."""
    security: str | None = None
    """Folder of its keys, where it asks who connects."""
    ready: bool = False
    children: dict[str, int | None] = field(default_factory=dict[str, int | None])
    """Name -> process id; None while a child waits to be started again."""

    @property
    def base_model(self) -> str | None:
        """The model its workers load; the echo engine has none."""
        return None if self.engine == "echo" else self.model


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold the folder. The kernel lets go of it when this process dies, so no stale lock can remain.

    Raises:
        YardRunsAlreadyError: another process holds it.
        DataFolderError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DataFolderError(folder=folder, reason=error.strerror or str(error)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise YardRunsAlreadyError(folder=folder, pid=_holder(lock)) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def write_state(folder: Path, state: YardState) -> None:
    """Replace the state file; a reader sees the old one or the new one."""
    partial = folder / f".{STATE_NAME}.partial"
    partial.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / STATE_NAME)


def forget_state(folder: Path) -> None:
    """Remove the state file of a yard that has stopped."""
    (folder / STATE_NAME).unlink(missing_ok=True)


def running_yard(folder: Path) -> YardState | None:
    """The yard that runs on this folder now; a file left by a killed one does not count."""
    try:
        state = YardState(**json.loads((folder / STATE_NAME).read_text(encoding="utf-8")))
        lock = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError, TypeError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return state
    finally:
        os.close(lock)
    return None


def _holder(lock: int) -> int | None:
    text = os.pread(lock, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else None
