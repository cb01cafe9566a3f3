"""All that `lorayard doctor` looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lorayard import Client
from lorayard_cli.checks.adapters import check_folder, check_registered
from lorayard_cli.checks.audit import check_audit
from lorayard_cli.checks.clocks import check_clocks
from lorayard_cli.checks.device import SMI_SECONDS, TORCH_SECONDS, check_device
from lorayard_cli.checks.finding import Finding
from lorayard_cli.checks.fleet import check_fleet
from lorayard_cli.checks.looking import Look
from lorayard_cli.checks.machine import check_children, check_machine, check_memory, check_ports, memory_bytes
from lorayard_cli.checks.queue import check_consumers, check_queue, check_schedules
from lorayard_cli.checks.records import check_records
from lorayard_cli.checks.room import check_store_disk, check_streams
from lorayard_cli.embedded.data_folder import YardState
from lorayard_cli.embedded.plan import BUS, DISPATCHER, EXPORTER, GATEWAY
from lorayard_cli.options import YardAddress
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings
from lorayard_workers.settings import WorkerSettings

MANY_SECONDS = 20.0
"""For what reads every record: thousands take a second or two."""

DEEP_SECONDS = 3600.0
"""Every byte of every adapter is read: an hour is 3 TB from a fast disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be looked at."""

    address: YardAddress
    settings: YardSettings
    worker: WorkerSettings
    """Of a worker that is started here."""
    running: YardState | None
    data: Path
    models: Path
    model: str | None
    adapters: Path | None
    mending: bool
    deep: bool

    @property
    def read_seconds(self) -> float:
        """For looks that read adapters."""
        return DEEP_SECONDS if self.deep else MANY_SECONDS


def yard_looks(asked: Asked, bus: Bus, client: Client) -> list[Look]:
    """All that a bus in order is asked."""
    looks = [
        Look(check="room", find=lambda: check_streams(bus)),
        Look(check="records", find=lambda: check_records(bus, mending=asked.mending), seconds=MANY_SECONDS),
        Look(check="clocks", find=lambda: check_clocks(bus)),
        Look(check="fleet", find=lambda: check_fleet(bus, client), seconds=MANY_SECONDS),
        Look(check="consumers", find=lambda: check_consumers(bus, client)),
        Look(check="queue", find=lambda: check_queue(bus, client)),
        Look(check="schedules", find=lambda: check_schedules(bus)),
        Look(
            check="stored adapters",
            find=lambda: check_registered(bus, client, deep=asked.deep),
            seconds=asked.read_seconds,
        ),
    ]
    if asked.deep:
        looks.append(Look(check="audit", find=lambda: check_audit(bus), seconds=DEEP_SECONDS))
    store = asked.data / "bus" / "jetstream"
    if asked.running is not None and asked.running.url == asked.settings.url and store.is_dir():
        looks.append(Look(check="store disk", find=lambda: check_store_disk(bus, store)))
    return looks


def machine_looks(asked: Asked) -> list[Look]:
    """All that needs no bus."""
    running, folder = asked.running, asked.adapters
    looks = [
        Look(
            check="machine",
            find=lambda: check_machine(data=asked.data, models=asked.models, model=asked.model),
        ),
        Look(check="memory", find=lambda: _memory(asked)),
    ]
    if folder is not None:
        read = asked.read_seconds
        looks.insert(
            0, Look(check="adapters", find=lambda: check_folder(folder, deep=asked.deep), seconds=read)
        )
    if running is None or running.engine != "echo":
        seconds = SMI_SECONDS + TORCH_SECONDS + 5.0
        looks.append(Look(check="device", find=lambda: check_device(asked.worker.device), seconds=seconds))
    if running is None:
        ports = {"LORAYARD_METRICS_PORT": asked.settings.metrics_port}
        looks.append(Look(check="ports", find=lambda: check_ports(ports)))
    else:
        looks.append(Look(check="processes", find=lambda: check_children(running.children)))
    return looks


def _memory(asked: Asked) -> Iterator[Finding]:
    running = asked.running
    if asked.model is None:
        return  # the echo engine takes none
    names = running.children if running is not None else {}
    others = (BUS, DISPATCHER, GATEWAY, EXPORTER)
    workers = sum(not name.startswith(others) for name in names)
    named = asked.models / asked.model
    folder = named if named.is_dir() else Path(asked.model).expanduser()
    yield from check_memory(
        asked.worker, workers=workers or 1, model_bytes=_weights_bytes(folder), total_bytes=memory_bytes()
    )


def _weights_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors") if file.is_file())
