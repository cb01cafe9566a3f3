"""What a yard consists of: which children, with which commands."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lorayard_cli.embedded.bus_server import BusServer
from lorayard_cli.embedded.child import ChildSpec
from lorayard_gateway.settings import GatewaySettings
from lorayard_shared.errors import SettingsError
from lorayard_shared.settings import S, YardSettings, read_settings
from lorayard_workers.settings import WorkerSettings

BUS = "bus"
DISPATCHER = "dispatcher"
GATEWAY = "gateway"
EXPORTER = "exporter"
OPERATOR, WORKER, OBSERVER = "operator", "worker", "observer"
"""Who processes are, beside their own names, where a yard tells apart who may do what."""

HAND_BACK_SECONDS = 15.0
"""What a worker takes at most beyond its draining: it stores what is finished, hands back the rest, and joins
its threads. One that is killed earlier leaves its jobs to leases that run out by themselves."""

GATEWAY_LAST_SECONDS = 8.0
"""What a gateway takes at most beyond its draining: to tell what is left, and to close."""

EngineName = Literal["packed", "echo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YardPlan:
    """How large a yard is and what it serves."""

    data: Path
    """Its store, lock and state file."""
    model: str = "gemma3-270m"
    adapters: Path | None = None
    engine: EngineName = "packed"
    workers: int = 2
    dispatchers: int = 1
    """Those beyond `LORAYARD_PARTITIONS` stand by."""
    port: int = 4222
    """0 takes a free one."""
    gateway: int | None = None
    """Port of a gateway on 127.0.0.1; 0 takes a free one, None has none."""
    gateway_keys: bool = False
    """Whether that one asks for keys."""
    page: Literal["read", "operate"] | None = None
    """Whether that one serves the page for operators, and whether they may act on it."""
    metrics: int | None = None
    """Port of the exporter on 127.0.0.1, from which those of all others count; None shows no metrics."""
    prefix: str = "yard"
    slots: int | None = None
    rows: int | None = None
    threads: int | None = None
    log_level: str = "warning"
    security: Path | None = None
    """Folder of `lorayard security init`, whose accounts, roles and TLS hold; None: all may do everything."""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Further settings for dispatcher and workers, as `LORAYARD_...`."""
    worker_environment: dict[str, str] = field(default_factory=dict[str, str])
    """And for workers alone."""

    @property
    def worker_names(self) -> tuple[str, ...]:
        """`w1` and so on."""
        return tuple(f"w{number}" for number in range(1, self.workers + 1))

    @property
    def dispatcher_names(self) -> tuple[str, ...]:
        """`dispatcher`, `dispatcher-2` and so on."""
        more = (f"{DISPATCHER}-{number}" for number in range(2, self.dispatchers + 1))
        return (DISPATCHER, *more)

    @property
    def worker_threads(self) -> int:
        """The cores shared out, unless a number was given: oversubscribed torch threads only spin."""
        return self.threads or max(1, (os.cpu_count() or 1) // max(1, self.workers))


def yard_settings(plan: YardPlan, url: str) -> YardSettings:
    """The settings that the plan's own processes read: whoever declares the streams must not have others."""
    return _settings(YardSettings, plan, url)


def _settings(kind: type[S], plan: YardPlan, url: str) -> S:
    environment = _environment(plan, url, OPERATOR)
    names = {name: f"LORAYARD_{name.upper()}" for name in kind.model_fields}
    given = {name: environment[key] for name, key in names.items() if key in environment}
    return read_settings(kind, **given)


def _worker_stop_seconds(plan: YardPlan, url: str) -> float:
    try:
        drain = _settings(WorkerSettings, plan, url).drain_seconds
    except SettingsError:  # the worker itself says which is wrong, and ends
        drain = 0.0
    return drain + HAND_BACK_SECONDS


def trust_file(plan: YardPlan) -> Path | None:
    """What the bus's configuration includes; None: nothing.

    Raises:
        SecurityError: there are no keys in the plan's folder.
        SettingsError: they are another yard's.
    """
    if plan.security is None:
        return None
    from lorayard_cli.security.folder import SecurityFolder

    folder = SecurityFolder(plan.security)
    if (prefix := folder.read().prefix) != plan.prefix:
        reason = f"{plan.security} is of a yard with the prefix {prefix!r}, and --prefix is {plan.prefix!r}"
        raise SettingsError(setting="--secure", reason=reason)
    return folder.trust_file


def bus_child(server: BusServer) -> ChildSpec:
    """The nats-server; of its own log only what went wrong."""
    return ChildSpec(
        name=BUS,
        command=tuple(server.command()),
        orphan_signal=signal.SIGTERM,
        shows=lambda line: any(mark in line for mark in ("[WRN]", "[ERR]", "[FTL]", "nats-server:")),
    )


def dispatcher_child(plan: YardPlan, url: str, name: str = DISPATCHER) -> ChildSpec:
    """One dispatcher."""
    environment = {**_environment(plan, url, DISPATCHER), **_metrics(plan, name)}
    return ChildSpec(name=name, command=_lorayard(plan, "dispatcher"), environment=environment)


def worker_child(plan: YardPlan, url: str, name: str) -> ChildSpec:
    """One worker."""
    options: dict[str, object | None] = {
        "--name": name,
        "--model": plan.model,
        "--adapters": plan.adapters,
        "--engine": plan.engine,
        "--slots": plan.slots,
        "--rows": plan.rows,
        "--threads": plan.worker_threads,
    }
    given = [f"{option}={value}" for option, value in options.items() if value is not None]
    return ChildSpec(
        name=name,
        command=_lorayard(plan, "worker", *given),
        environment={
            **_environment(plan, url, WORKER),
            **plan.worker_environment,
            **_metrics(plan, name),
        },
        stop_seconds=_worker_stop_seconds(plan, url),
    )


def gateway_child(plan: YardPlan, url: str, port: int) -> ChildSpec:
    """The gateway, on this port. The bus beside it is open to this machine too, hence without keys."""
    options = [f"--port={port}", *([] if plan.gateway_keys else ["--no-keys"])]
    if plan.page is not None:
        options.append(f"--page={plan.page}")
    return ChildSpec(
        name=GATEWAY,
        command=_lorayard(plan, "gateway", *options),
        environment={
            **_environment(plan, url, OPERATOR if plan.page == "operate" else GATEWAY),
            **_metrics(plan, GATEWAY),
            "LORAYARD_GATEWAY_HOST": "127.0.0.1",
        },
        stop_seconds=_gateway_drain_seconds(plan, url) + GATEWAY_LAST_SECONDS,
    )


def exporter_child(plan: YardPlan, url: str, port: int) -> ChildSpec:
    """The exporter, on this port; a yard goes on without it."""
    return ChildSpec(
        name=EXPORTER,
        command=_lorayard(plan, "exporter", f"--port={port}"),
        environment=_environment(plan, url, OBSERVER),
        vital=False,
    )


def metrics_port(base: int, name: str) -> int:
    """Where a child shows its metrics: numbers keep their ports, whoever else comes and goes."""
    if name == EXPORTER:
        return base
    if name == GATEWAY:
        return base + 1
    if name == DISPATCHER:
        return base + 10
    if name.startswith(DISPATCHER):
        return base + 9 + int(name.removeprefix(f"{DISPATCHER}-"))
    return base + 100 + int(name.removeprefix("w")) - 1


def _metrics(plan: YardPlan, name: str) -> dict[str, str]:
    if plan.metrics is None:
        return {}
    return {"LORAYARD_METRICS_PORT": str(metrics_port(plan.metrics, name))}


def _gateway_drain_seconds(plan: YardPlan, url: str) -> float:
    try:
        return _settings(GatewaySettings, plan, url).gateway_drain_seconds
    except SettingsError:  # the gateway itself says which is wrong, and ends
        return 0.0


def _lorayard(plan: YardPlan, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "lorayard_cli", *arguments, f"--log-level={plan.log_level}")


def _environment(plan: YardPlan, url: str, user: str) -> dict[str, str]:
    return {
        "LORAYARD_URL": url,
        "LORAYARD_PREFIX": plan.prefix,
        "PYTHONUNBUFFERED": "1",
        "TQDM_DISABLE": "1",  # bars of the model's libraries make no lines
        **_credentials(plan, user),
        **plan.environment,
    }


def _credentials(plan: YardPlan, user: str) -> dict[str, str]:
    if plan.security is None:
        return {}
    from lorayard_cli.security.folder import SecurityFolder

    folder = SecurityFolder(plan.security)
    return folder.variables(folder.read(), user)
