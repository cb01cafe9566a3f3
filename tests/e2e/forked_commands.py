"""Commands without their imports: each is a process of its own, forked from one that has imported them all.

Importing is most of what a short command costs, and tests run a hundred of them. That a command starts by
itself is shown by those that run another way: in the background, or with an environment of their own.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MOST_BYTES = 2**20
"""Of a message: arguments and an environment."""


class Forks:
    """The process that has imported them all; it ends with this one."""

    def __init__(self) -> None:
        self._link, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, __file__, str(there.fileno())]
        self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()])
        there.close()

    def run(
        self, arguments: Sequence[str], *, cwd: Path, stdin: str, env: Mapping[str, str], seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run`.

        Raises:
            subprocess.TimeoutExpired: it has not ended in that time, and was killed.
        """
        asked = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)}).encode()
        with tempfile.TemporaryFile("w+") as given, _text_file() as out, _text_file() as err:
            given.write(stdin)
            given.seek(0)
            ends, told = os.pipe()
            socket.send_fds(self._link, [asked], [given.fileno(), out.fileno(), err.fileno(), told])
            os.close(told)
            with os.fdopen(ends) as status:
                pid = int(status.readline())
                if not select.select([ends], [], [], seconds)[0]:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(arguments), seconds)
                code = int(status.readline())
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(list(arguments), code, out.read(), err.read())

    def end(self) -> None:
        """No command is asked for any more."""
        self._link.close()
        self._server.wait()


def _text_file() -> Any:
    return tempfile.TemporaryFile("w+", encoding="utf-8")


def _next_command(link: socket.socket) -> bool:
    """Serve until nobody can ask; in a fork, the command of which is set up then: whether this is one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for a command
    while True:
        asked, files, _, _ = socket.recv_fds(link, MOST_BYTES, 4)
        if not asked:
            return False
        if os.fork() == 0:
            return _wait_for_command(json.loads(asked), files)
        for file in files:
            os.close(file)


def _wait_for_command(asked: dict[str, Any], files: Sequence[int]) -> bool:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = files[3]
    pid = os.fork()
    if pid == 0:
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        os.closerange(3, max(files) + 1)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.argv = ["lorayard", *asked["arguments"]]
        return True
    os.write(status, f"{pid}\n".encode())
    _, ended = os.waitpid(pid, 0)
    os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _serve() -> None:
    import lorayard_cli
    from lorayard_cli import commands

    for module in pkgutil.walk_packages(commands.__path__, f"{commands.__name__}."):
        importlib.import_module(module.name)
    if _next_command(socket.socket(fileno=int(sys.argv[1]))):
        lorayard_cli.main()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    _serve()
