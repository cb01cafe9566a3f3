"""Put on PYTHONPATH by a test: this interpreter may open sockets to loopback and nowhere else (A6).

An audit hook cannot be taken off again, and sees every connect and every name look-up that Python code makes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_LOCAL_FAMILIES = {1}  # AF_UNIX
_LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost", ""}


def _write(variable: str, line: str) -> None:
    path = os.environ.get(variable)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {line}\n")


def _refuse(what: str) -> None:
    _write("LOOPBACK_ONLY_LOG", what)
    raise PermissionError(f"only loopback is allowed here: {what}")


def _is_local(host: str | bytes | None) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    return host is None or host in _LOCAL_HOSTS or host.startswith("127.")


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        sock, address = args
        if int(sock.family) not in _LOCAL_FAMILIES and not _is_local(address[0]):
            _refuse(f"{event} {address}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not _is_local(args[0]):
        _refuse(f"{event} {args[0]}")


sys.addaudithook(_hook)
_write("LOOPBACK_ONLY_ARMED", " ".join(sys.orig_argv))
