"""The bus of a run: one server, or a cluster of three whose nodes speak over wires of ours too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.chaos.blows import bus_names
from benchmarks.chaos.wire import Wire

from lorayard_cli.embedded.bus_server import BusServer, free_port
from lorayard_cli.embedded.child import ChildSpec
from lorayard_cli.embedded.plan import bus_child

NOWHERE: Final = "127.0.0.1:1"
"""What a node tells others of its address: they are to use the wires that they were given."""
STORE_BYTES: Final = 8 << 30
"""What streams may reserve; what lies there is a few MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusNode:
    """One server."""

    name: str
    port: int
    folder: Path
    """Its disk."""
    spec: ChildSpec
    routes: Mapping[str, Wire]
    """To each other node."""


async def make_bus(folder: Path, nodes: int, draw: Random) -> list[BusNode]:
    """Servers that are not started yet; the folder of each may be a disk of its own by then."""
    names = bus_names(nodes)
    ports = {name: free_port(0) for name in names}
    cluster = {name: free_port(0) for name in names}
    made: list[BusNode] = []
    for name in names:
        routes = {other: Wire([cluster[other]], draw) for other in names if other != name}
        for wire in routes.values():
            await wire.open()
        store = folder / name
        config = folder / f"{name}.conf"
        config.write_text(_config(name, ports[name], store, cluster[name], routes), encoding="utf-8")
        server = BusServer(port=ports[name], store=store, config=config)
        spec = replace(bus_child(server), name=name)
        made.append(BusNode(name=name, port=ports[name], folder=store, spec=spec, routes=routes))
    return made


def _config(name: str, port: int, store: Path, cluster_port: int, routes: Mapping[str, Wire]) -> str:
    told: dict[str, object] = {
        "server_name": name,
        "listen": f"127.0.0.1:{port}",
        "jetstream": {
            "store_dir": str(store / "jetstream"),
            "sync_interval": "1s",
            "max_file_store": STORE_BYTES,
        },
    }
    if routes:
        told["cluster"] = {
            "name": "chaos",
            "listen": f"127.0.0.1:{cluster_port}",
            "advertise": NOWHERE,
            "no_advertise": True,  # clients stay on their wires too
            "routes": [wire.url for wire in routes.values()],
        }
    return json.dumps(told, indent=2)
