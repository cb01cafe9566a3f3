"""The files of deploy/ run: their bus, their processes, and three nodes of which one dies (F5, G2)."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import CLEAN_ENVIRONMENT, START_SECONDS, command, wait_until

from lorayard import Client, LorayardError
from lorayard.settings import ClientSettings
from lorayard_cli.embedded.bus_server import find_nats_server
from lorayard_shared.bus.connection import connect
from lorayard_shared.bus.declare import declare, mend
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
NATS = ROOT / "deploy" / "nats"
NODES: tuple[str, ...] = ("bus-0", "bus-1", "bus-2")
PARTS: tuple[str, ...] = ("dispatcher", "worker", "exporter", "gateway")

WaitUntil = Callable[..., Awaitable[None]]


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def running(
    line: Sequence[str], folder: Path, environment: Mapping[str, str], log: str
) -> Generator[subprocess.Popen[bytes]]:
    """A process that is ended with the block."""
    with (folder / f"{log}.log").open("ab") as out:
        process = subprocess.Popen(line, cwd=folder, env=dict(environment), stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def on_loopback(config: Path, folder: Path, name: str, *, client: int, monitor: int) -> Path:
    """A configuration as it stands, at ports and in a folder of its own."""
    text = config.read_text(encoding="utf-8")
    for old, new in (
        ("0.0.0.0:4222", f"127.0.0.1:{client}"),
        ("0.0.0.0:8222", f"127.0.0.1:{monitor}"),
        ("store_dir: /data", f"store_dir: {folder / name}"),
    ):
        assert old in text
        text = text.replace(old, new)
    file = folder / f"{name}.conf"
    file.write_text(text, encoding="utf-8")
    return file


def is_well(monitor: int, path: str = "/healthz") -> bool:
    """As compose.yaml and Kubernetes ask."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{monitor}{path}", timeout=5) as answer:
            return int(answer.status) == 200
    except OSError:
        return False


def read_probes() -> dict[str, dict[str, tuple[str, str]]]:
    """Port and path of liveness and readiness, as Kubernetes asks each process of ours."""
    found = dict[str, dict[str, tuple[str, str]]]()
    for part in PARTS:
        text = (ROOT / "deploy" / "kubernetes" / "base" / f"{part}.yaml").read_text(encoding="utf-8")
        (workload,) = [each for each in yaml.safe_load_all(text) if each["kind"] == "Deployment"]
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")}
        found[part] = {kind: (str(told["port"]), str(told["path"])) for kind, told in asked.items()}
    return found


PROBES = read_probes()


def compose() -> dict[str, Any]:
    """With nothing set around it."""
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def line_of(service: Mapping[str, Any]) -> list[str]:
    """A service's command, with our own interpreter in place of the image's."""
    words = [*service.get("entrypoint", ["lorayard"]), *service.get("command", [])]
    if words[0] == "lorayard":
        return command(*words[1:])
    return [*words[:2], words[2].replace("exec lorayard", f"exec {shlex.join(command())}")]


class Containers:
    """The processes of compose.yaml, on this machine."""

    def __init__(self, folder: Path, bus_port: int) -> None:
        self._folder, self._services = folder, compose()["services"]
        self.url = f"nats://127.0.0.1:{bus_port}"
        *pages, self._http = free_ports(len(PARTS) + 1)
        self._pages = dict(zip(PARTS, pages, strict=True))
        self.processes = dict[str, subprocess.Popen[bytes]]()

    def start(self, held: ExitStack) -> None:
        """With their own settings, but for ports, folders and a model that takes minutes."""
        for part in PARTS:
            given = {name: str(value) for name, value in self._services[part]["environment"].items()}
            here = {
                "LORAYARD_URL": self.url,
                "LORAYARD_METRICS_HOST": "127.0.0.1",
                "LORAYARD_METRICS_PORT": str(self._pages[part]),
                "LORAYARD_GATEWAY_PORT": str(self._http),
                "LORAYARD_GATEWAY_BATCHES_DIR": str(self._folder / "batches"),
                "LORAYARD_ENGINE": "echo",
                "HOSTNAME": "a1b2c3",
                "LORAYARD_MODELS_DIR": str(self._folder / "models"),
            }
            process = running(
                line_of(self._services[part]), self._folder, {**CLEAN_ENVIRONMENT, **given, **here}, part
            )
            self.processes[part] = held.enter_context(process)

    def unhealthy(self, part: str) -> str:
        """What the service's own check says; nothing: it is well."""
        words = self._services[part].get("healthcheck", {})["test"]
        done = subprocess.run(
            [sys.executable, str(ROOT / "deploy" / "healthy.py"), *self._here(words[3:])],
            env={"LORAYARD_METRICS_PORT": str(self._pages[part])},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode == 0) == (not done.stderr)
        return done.stderr

    def _here(self, words: Sequence[str]) -> list[str]:
        return [word.replace(":8080/", f":{self._http}/") for word in words]

    def probe(self, part: str, kind: str) -> bool:
        """As Kubernetes asks it."""
        port, path = PROBES[part][kind]
        return is_well(self._http if port == "http" else self._pages[part], path)

    def all_well(self) -> bool:
        """By both."""
        for part, process in self.processes.items():
            assert process.poll() is None, (self._folder / f"{part}.log").read_text()
        return all(self.probe(part, "readiness") for part in PARTS) and not any(map(self.unhealthy, PARTS))


async def test_the_services_of_compose_run_on_the_bus_of_compose__f5(tmp_path: Path) -> None:
    client, monitor = free_ports(2)
    yard = Containers(tmp_path, client)
    config = on_loopback(NATS / "server.conf", tmp_path, "store", client=client, monitor=monitor)
    with ExitStack() as held:
        server = held.enter_context(
            running([str(find_nats_server()), "--config", str(config)], tmp_path, CLEAN_ENVIRONMENT, "bus")
        )
        await asyncio.to_thread(wait_until, lambda: is_well(monitor), "the bus is well")
        yard.start(held)
        await asyncio.to_thread(wait_until, yard.all_well, "all are well", seconds=START_SECONDS)
        async with Client(settings=ClientSettings(url=yard.url)) as lorayard:
            assert (await lorayard.generate("Hello")).worker == "w-a1b2c3"
        yard.processes["worker"].send_signal(signal.SIGSTOP)
        assert not await asyncio.to_thread(yard.probe, "worker", "liveness")
        yard.processes["worker"].send_signal(signal.SIGCONT)
        server.kill()
        for part in PARTS:
            lost = lambda part=part: "the bus is away" in yard.unhealthy(part)  # noqa: E731  # for the wait
            await asyncio.to_thread(wait_until, lost, f"{part} says what it lacks")
            assert not yard.probe(part, "readiness")
            # A restart would mend nothing. On a busy machine a loop may be late for once, which is no death.
            lives = lambda part=part: yard.probe(part, "liveness")  # noqa: E731
            await asyncio.to_thread(wait_until, lives, f"{part} lives")


class Cluster:
    """Three nodes on loopback, by deploy/nats/cluster.conf."""

    def __init__(self, folder: Path, held: ExitStack) -> None:
        routes = free_ports(len(NODES) * 3)
        self.clients = dict(zip(NODES, routes[:3], strict=True))
        self.monitors = dict(zip(NODES, routes[3:6], strict=True))
        self.routes = dict(zip(NODES, routes[6:], strict=True))
        self.nodes = {name: held.enter_context(self._node(folder, name)) for name in NODES}

    def _node(self, folder: Path, name: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        file = on_loopback(
            NATS / "cluster.conf", folder, name, client=self.clients[name], monitor=self.monitors[name]
        )
        text = file.read_text().replace("0.0.0.0:6222", f"127.0.0.1:{self.routes[name]}")
        for other, port in self.routes.items():
            assert f"{other}.bus-nodes:6222" in text
            text = text.replace(f"{other}.bus-nodes:6222", f"127.0.0.1:{port}")
        file.write_text(text)
        line = [str(find_nats_server()), "--config", str(file)]
        return running(line, folder, {**CLEAN_ENVIRONMENT, "NODE": name}, name)

    def url(self, name: str) -> str:
        return f"nats://127.0.0.1:{self.clients[name]}"

    def well(self) -> bool:
        return all(is_well(port) for port in self.monitors.values())


async def leader_of(settings: YardSettings, stream: str) -> str:
    async with await connect(settings, name="look") as bus:
        info = await bus.api(f"STREAM.INFO.{stream}")
    assert info["config"]["num_replicas"] == len(NODES)
    return str(info["cluster"]["leader"])


def is_copied(info: dict[str, Any]) -> bool:
    """Whether all nodes have all of a stream or consumer, by the server's account."""
    cluster = info["cluster"]
    others: list[dict[str, Any]] = cluster.get("replicas") or []
    return bool(cluster.get("leader")) and len(others) == len(NODES) - 1 and all(o["current"] for o in others)


async def all_copied(settings: YardSettings) -> bool:
    """A node that ends before the others have its copies takes the only ones with it."""
    async with await connect(settings, name="look") as bus:
        streams = (await bus.api("STREAM.LIST", {"offset": 0}))["streams"]
        consumers = [
            consumer
            for stream in streams
            for consumer in (await bus.api(f"CONSUMER.LIST.{stream['config']['name']}", {"offset": 0}))[
                "consumers"
            ]
            if consumer["config"].get("durable_name")
        ]
    return all(is_copied(one) for one in (*streams, *consumers))


async def grown(url: str) -> bool:
    """A yard that began with one copy of each stream gets three, as `doctor --mend` does it; nodes that have
    just met refuse some."""
    one = YardSettings(url=url)
    async with await connect(one, name="grow") as bus:
        await declare(bus, topology(one))
        left = await mend(bus, topology(one.model_copy(update={"replicas": len(NODES)})))
    return left == ()


async def test_a_bus_of_three_nodes_goes_on_when_one_dies__f5__g2(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    """The node that leads the stream of jobs: whoever is on it goes on at another."""
    with ExitStack() as held:
        cluster = Cluster(tmp_path, held)
        await wait_until(cluster.well)
        await wait_until(lambda: grown(cluster.url(NODES[0])))
        given = {"LORAYARD_REPLICAS": "3", "LORAYARD_ENGINE": "echo"}
        for number, part in enumerate(("dispatcher", "worker")):
            environment = {**CLEAN_ENVIRONMENT, **given, "LORAYARD_URL": cluster.url(NODES[number])}
            held.enter_context(running(command(part, "--json"), tmp_path, environment, part))
        settings = ClientSettings(url=cluster.url(NODES[2]), replicas=3)

        async def answered(prompt: str) -> bool:
            with contextlib.suppress(LorayardError):
                async with Client(settings=settings) as yard:
                    return (await yard.generate(prompt, timeout_seconds=20)).text == prompt
            return False

        await wait_until(lambda: answered("before"), seconds=START_SECONDS)
        await wait_until(lambda: all_copied(settings))
        leader = await leader_of(settings, "YARD_JOBS")
        async with Client(settings=settings) as yard:
            handle = await yard.submit("accepted", delay_seconds=3.0)
            cluster.nodes[leader].kill()
            settings = settings.model_copy(
                update={"url": next(cluster.url(name) for name in NODES if name != leader)}
            )
            await wait_until(lambda: answered("after"))
            assert (await handle.result(timeout_seconds=60)).text == "accepted"
        assert await leader_of(settings, "YARD_JOBS") != leader
