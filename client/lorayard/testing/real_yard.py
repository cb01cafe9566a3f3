"""A real yard for a test session: nats-server, dispatcher and an echo worker, as processes.

It is what `lorayard up --engine echo` starts, so it needs the extra `embedded`; this module needs none.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

from lorayard.client import Client
from lorayard.errors import LorayardError
from lorayard.sync_client import SyncClient
from lorayard_shared.settings import YardSettings

STOP_SECONDS = 30.0
"""It ends its processes within a few; what is then left is killed."""

LOG_CHARACTERS = 2000
"""Of its log, the end, that an error repeats."""


class RealYardError(LorayardError):
    """The yard did not begin; with the end of its log."""


class RealYard:
    """One running yard, which answers each prompt with the prompt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "yard.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        """Where its bus is, once it has begun."""

    def start(self) -> None:
        """Begin, on any free port; it answers when this returns.

        Raises:
            RealYardError: it did not begin.
        """
        arguments = ("up", "--engine", "echo", "--model", "tiny", "--workers", "1", "--port", "0", "--json")
        told = {key: value for key, value in os.environ.items() if not key.startswith("LORAYARD_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lorayard_cli", *arguments, "--data", str(self._folder / "data")],
                cwd=self._folder,
                env=told,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert self._process.stdout is not None, "it is a pipe"
        self.url = self._read_url(self._process.stdout)

    def stop(self) -> None:
        """End all its processes."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    @property
    def settings(self) -> YardSettings:
        """Of processes that join it."""
        return YardSettings(url=self.url, prefix="yard")

    def client(self, tenant: str = "default") -> Client:
        """A client of the yard, to be opened by `async with`."""
        return Client(settings=self.settings, tenant=tenant)

    def sync_client(self, tenant: str = "default") -> SyncClient:
        """The same, blocking."""
        return SyncClient(settings=self.settings, tenant=tenant)

    def _read_url(self, events: IO[bytes]) -> str:
        for line in events:
            event = json.loads(line)
            if event.get("event") == "up":
                return str(event["url"])
        self.stop()
        raise RealYardError(f"the yard did not begin:\n{self._log.read_text()[-LOG_CHARACTERS:]}")


def what_is_missing() -> str | None:
    """Why no real yard can be started here, and what to do; None: one can."""
    if sys.platform == "win32":
        return "a real yard needs Linux or macOS"
    for module in ("lorayard_cli", "lorayard_dispatcher", "lorayard_workers", "cyclopts", "numpy"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed: pip install 'lorayard[embedded]'"
    return None
