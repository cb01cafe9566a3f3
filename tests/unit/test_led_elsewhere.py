"""What a worker gives back by rules while no dispatcher lives (D4)."""

from __future__ import annotations

from typing import Any

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord, AliasRef, Arm, alias_key
from lorayard_schemas.assignment import AdapterRef, AssignedJob
from lorayard_schemas.codec import encode
from lorayard_schemas.give_back import MAX_KEYS
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.directory import Directory
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.led_elsewhere import led_elsewhere, orders_for

NAME = "a/b/c"
ALIAS = f"{NAME}@stable"


def record(version: str) -> AdapterRecord:
    return AdapterRecord(
        name=NAME,
        version=version,
        digest="sha256:" + version * 8,
        base_digest="sha256:" + "0" * 8,
        rank=4,
        alpha=8.0,
        targets=("q_proj",),
        size_bytes=1,
    )


def directory(**rules: Any) -> Directory:
    """Two versions, an alias that is split among them, and a rule that leads to it."""
    made = Directory(AdapterRegistry(), None)
    for one in (record("1"), record("2")):
        made.registry.on_change(one.key, encode(one))
    arms = (Arm(version="1", weight=0.1), Arm(version="2", weight=99.9))
    split = AliasRecord(adapter=NAME, alias="stable", revision=3, arms=arms)
    made.aliases.on_change(alias_key(NAME, "stable"), encode(split))
    made.rules.on_change(RULES_KEY, encode(RouteTable.model_validate(rules)))
    return made


def held(version: str | None, *, alias: str | None = None, key: str = "k", **job: Any) -> HeldJob:
    adapter = (
        None if version is None else AdapterRef(name=NAME, version=version, digest=record(version).digest)
    )
    assigned = AssignedJob(
        key=key,
        lease="l",
        subject="s",
        body=encode(Job(id="j", prompt="x", **job)),
        adapter=adapter,
        alias=None if alias is None else AliasRef(name=alias, revision=2),
        rule="base" if version is None else "tenant:all",
    )
    return HeldJob(assigned=assigned, address=JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None), job="j")


LEADS = {"rules": [{"name": "all", "tenant": "t", "adapter": ALIAS}]}


def test_a_job_of_the_base_goes_where_a_rule_leads_it_now__d4() -> None:
    assert led_elsewhere(held(None), directory(**LEADS))
    assert not led_elsewhere(held(None), directory())


def test_a_job_keeps_the_version_that_its_alias_led_it_to__d4() -> None:
    assert not led_elsewhere(held("1", alias=ALIAS), directory(**LEADS))
    assert led_elsewhere(held("1"), directory(**LEADS))


def test_a_job_of_a_session_is_left_alone__d4() -> None:
    assert not led_elsewhere(held(None, session="s"), directory(**LEADS))


def test_all_of_very_many_are_asked_back__d4() -> None:
    keys = [str(number) for number in range(MAX_KEYS + 1)]
    orders = list(orders_for(held(None, key=key) for key in keys))
    assert [key for order in orders for key in order.keys] == keys  # a field, of a message
