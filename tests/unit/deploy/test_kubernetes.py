"""deploy/kubernetes fits Kubernetes' schemas, our settings, our commands and the yard's own names (F5)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.unit.deploy.conftest import DEPLOY, SETTINGS, Json, check_environment, documents, parse_command

from lorayard_cli.monitoring.rules_resource import rules_resource
from lorayard_schemas.job import Lane
from lorayard_shared.bus.topology import topology
from lorayard_shared.metrics.declared import SLOT_PRESSURE
from lorayard_shared.settings import YardSettings

FOLDER = DEPLOY / "kubernetes"
BASE = FOLDER / "base"
OF_OTHERS = ("keda.sh/", "monitoring.coreos.com/", "kustomize.config.k8s.io/")
"""Whose schemas are not Kubernetes' own."""

RELEASE = "1.33"
"""Old enough to be met everywhere; what fits it fits later ones."""

KUBECTL = shutil.which("kubectl")


def read(file: Path) -> list[Json]:
    return documents(file.read_text(encoding="utf-8"))


KUSTOMIZATIONS = {file.parent: read(file)[0] for file in DEPLOY.rglob("kustomization.yaml")}
PATCHES = {
    folder / patch["path"] for folder, found in KUSTOMIZATIONS.items() for patch in found.get("patches", [])
}
FILES = [file for file in sorted(FOLDER.rglob("*.yaml")) if file not in PATCHES]
RESOURCES = [
    (f"{file.relative_to(FOLDER)}:{found['kind']}:{found['metadata']['name']}", found)
    for file in FILES
    for found in read(file)
    if "metadata" in found
]
WORKLOADS = {
    found["metadata"]["name"]: found for _, found in RESOURCES if "template" in found.get("spec", {})
}
(KEDA,) = [found for _, found in RESOURCES if found["kind"] == "ScaledObject"]


def generated() -> dict[str, dict[str, str]]:
    """Literals of the configuration maps that are made, by name."""
    return {
        each["name"]: dict(literal.split("=", 1) for literal in each.get("literals", []))
        for found in KUSTOMIZATIONS.values()
        for each in found.get("configMapGenerator", [])
    }


def container(workload: Json) -> Json:
    found: list[Json] = workload["spec"]["template"]["spec"]["containers"]
    assert len(found) == 1
    return found[0]


def environment(found: Json, maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What a process sees; names of pods as they look."""
    given: dict[str, str] = {}
    for source in found.get("envFrom", []):
        given |= maps[source["configMapRef"]["name"]]
    for each in found.get("env", []):
        given[each["name"]] = each.get("value", "worker-7f9c-x2x")
    return given


@pytest.mark.parametrize("found", [found for _, found in RESOURCES], ids=[name for name, _ in RESOURCES])
def test_a_resource_fits_the_schema(found: Json) -> None:
    if not found["apiVersion"].startswith(OF_OTHERS):
        kubernetes_validate.validate(found, RELEASE, strict=True)


def test_a_field_that_there_is_not_is_refused() -> None:
    """The check above checks."""
    wrong = {**WORKLOADS["worker"], "spec": {**WORKLOADS["worker"]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, RELEASE, strict=True)


def test_every_file_is_used_and_every_one_that_is_named_is_there() -> None:
    named = {
        (folder / name).resolve()
        for folder, found in KUSTOMIZATIONS.items()
        for name in (*found.get("resources", []), *found.get("components", []))
    }
    assert all(path.exists() for path in named)
    assert {*FILES} | PATCHES == {path for path in named if path.is_file()} | PATCHES | {
        folder / "kustomization.yaml" for folder in KUSTOMIZATIONS if folder.is_relative_to(FOLDER)
    }


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not here")
@pytest.mark.parametrize("folder", ["base", "overlays/gpu"])
def test_kustomize_builds_what_fits_the_schema(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KUBECTL is not None
    done = subprocess.run(
        [KUBECTL, "kustomize", str(FOLDER / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built = documents(done.stdout)
    maps = {found["metadata"]["name"]: found["data"] for found in built if found["kind"] == "ConfigMap"}
    for found in built:
        if not found["apiVersion"].startswith(OF_OTHERS):
            kubernetes_validate.validate(found, RELEASE, strict=True)
        if found["kind"] in ("Deployment", "StatefulSet"):
            check_pod(found, maps)
            if (part := found["metadata"]["name"]) in SETTINGS:
                check_environment(part, environment(container(found), maps), monkeypatch)


def check_pod(workload: Json, maps: Mapping[str, Mapping[str, str]]) -> None:
    """What it mounts and reads is there, under the name that it has in the end."""
    pod, found = workload["spec"]["template"]["spec"], container(workload)
    claims = workload["spec"].get("volumeClaimTemplates", [])
    volumes = {volume["name"] for volume in pod["volumes"]} | {each["metadata"]["name"] for each in claims}
    assert {mount["name"] for mount in found["volumeMounts"]} <= volumes
    named = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    named |= {source["configMapRef"]["name"] for source in found.get("envFrom", [])}
    assert named <= maps.keys()


@pytest.mark.parametrize("part", SETTINGS)
def test_a_workload_runs_its_command_with_its_settings(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = container(WORKLOADS[part])
    assert parse_command(["lorayard", *found["args"]]) == part
    assert found["args"] == [part, "--json"], "as the processes of compose.yaml, which run in a test"
    check_environment(part, environment(found, generated()), monkeypatch)


def test_every_process_is_asked_whether_it_is_well_and_confined() -> None:
    for name, workload in WORKLOADS.items():
        found, pod = container(workload), workload["spec"]["template"]["spec"]
        ports = {port["name"] for port in found["ports"]}
        asked = {probe: found[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")}
        assert {probe["port"] for probe in asked.values()} <= ports
        if name in SETTINGS:
            paths = [probe["path"] for probe in asked.values()]
            assert paths == ["/healthz", "/readyz"], "what is not ready is not ended"
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        assert found["securityContext"]["readOnlyRootFilesystem"]
        assert found["resources"]["limits"]["memory"]


def labels(workload: Json) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def chosen(selector: Mapping[str, Any]) -> list[str]:
    """Workloads whose pods a selector takes."""
    wanted = selector.get("matchLabels", {}).items()
    return [name for name, workload in WORKLOADS.items() if wanted <= labels(workload).items()]


def selectors() -> Iterator[tuple[str, Json]]:
    """Of services, budgets and policies, those inside rules too."""
    for name, found in RESOURCES:
        if found["kind"] == "Service":
            yield name, {"matchLabels": found["spec"]["selector"]}
        elif found["kind"] in ("PodDisruptionBudget", "PodMonitor", "Deployment", "StatefulSet"):
            yield name, found["spec"]["selector"]
        elif found["kind"] == "NetworkPolicy":
            yield name, found["spec"]["podSelector"]
            rules = [*found["spec"].get("ingress", []), *found["spec"].get("egress", [])]
            peers = [peer for rule in rules for peer in (*rule.get("from", []), *rule.get("to", []))]
            yield from ((name, peer["podSelector"]) for peer in peers if {*peer} == {"podSelector"})


def test_every_selector_finds_somebody() -> None:
    found = list(selectors())
    assert len(found) > 15
    assert [name for name, selector in found if not chosen(selector)] == []


def test_ports_that_are_let_in_are_those_that_listen() -> None:
    for name, found in RESOURCES:
        if found["kind"] != "NetworkPolicy":
            continue
        own = {
            port["containerPort"]
            for workload in chosen(found["spec"]["podSelector"])
            for port in container(WORKLOADS[workload])["ports"]
        }
        let_in = {port["port"] for rule in found["spec"].get("ingress", []) for port in rule["ports"]}
        assert let_in <= own, name
    ports = {port["containerPort"] for port in container(WORKLOADS["worker"])["ports"]}
    assert ports == {int(generated()["yard"]["LORAYARD_METRICS_PORT"])}


def test_a_pod_is_given_the_time_to_stop() -> None:
    for part, field in (("worker", "drain_seconds"), ("gateway", "gateway_drain_seconds")):
        grace = WORKLOADS[part]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert grace > SETTINGS[part].model_fields[field].default + 15


def test_the_autoscaler_looks_at_consumers_that_there_are__f5() -> None:
    """KEDA takes the stream's last sequence for the lag of a consumer that it does not find: all workers."""
    settings = YardSettings.model_validate(
        {name.removeprefix("LORAYARD_").lower(): value for name, value in generated()["yard"].items()}
    )
    declared = {(each.stream, each.name): each.lane for each in topology(settings).consumers}
    lags = [each["metadata"] for each in KEDA["spec"]["triggers"] if each["type"] == "nats-jetstream"]
    assert [declared[each["stream"], each["consumer"]] for each in lags] == list(Lane)
    assert {*lags[0]} == {"natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"}
    thresholds = [int(each["lagThreshold"]) for each in lags]
    assert thresholds == sorted(thresholds), "the more urgent a lane, the fewer of its jobs a worker is for"
    (host, port) = lags[0]["natsServerMonitoringEndpoint"].split(":")
    assert host.split(".")[0] == WORKLOADS["bus"]["spec"]["serviceName"]
    assert int(port) in {each["containerPort"] for each in container(WORKLOADS["bus"])["ports"]}


def test_the_autoscaler_asks_for_a_metric_that_there_is__f5() -> None:
    (asked,) = [each for each in KEDA["spec"]["triggers"] if each["type"] == "prometheus"]
    assert f'{SLOT_PRESSURE.name}{{yard="yard"}}' in asked["metadata"]["query"]
    assert asked["metricType"] == "Value", "a ratio is of all workers: as many more as it is above 1"
    (monitor,) = [found for _, found in RESOURCES if found["kind"] == "PodMonitor"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "yard", "replacement": "yard"}]
    assert KEDA["spec"]["scaleTargetRef"]["name"] in WORKLOADS
    assert "replicas" not in WORKLOADS["worker"]["spec"], "the autoscaler's number would be undone"


def test_the_nodes_of_the_bus_know_each_other() -> None:
    bus = WORKLOADS["bus"]
    text = (DEPLOY / "nats" / "cluster.conf").read_text(encoding="utf-8")
    wanted = {f"bus-{n}.{bus['spec']['serviceName']}" for n in range(bus["spec"]["replicas"])}
    assert {*re.findall(r"nats://([\w.-]+):6222", text)} == wanted
    (variable,) = re.findall(r"^server_name: \$(\w+)", text, re.MULTILINE)
    assert [each["name"] for each in container(bus)["env"]] == [variable]
    assert int(generated()["yard"]["LORAYARD_REPLICAS"]) == bus["spec"]["replicas"]
    compose = yaml.safe_load((DEPLOY.parent / "compose.yaml").read_text(encoding="utf-8"))
    assert container(bus)["image"] == compose["services"]["bus"]["image"]


def test_the_rules_and_boards_are_those_of_everybody__f2__f3() -> None:
    file = FOLDER / "components" / "monitoring" / "rules.yaml"
    anew = "python -m lorayard_cli.monitoring.rules_resource has it anew"
    assert file.read_text(encoding="utf-8") == rules_resource(), anew
    (rules,) = read(file)
    assert rules["spec"] == read(DEPLOY / "prometheus" / "rules.yaml")[0]
    maps = KUSTOMIZATIONS[DEPLOY / "grafana"]["configMapGenerator"]
    named = {name for each in maps for name in each["files"]}
    assert named == {f"boards/{file.name}" for file in (DEPLOY / "grafana" / "boards").iterdir()}
    assert all(len(each["files"]) == 1 for each in maps), "more in one map are too large for `kubectl apply`"
