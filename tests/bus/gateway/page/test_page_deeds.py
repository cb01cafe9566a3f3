"""What an operator does on the page happens, in that operator's name, to no more than was confirmed (F3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.bus.conftest import ADAPTER
from tests.bus.gateway.conftest import Door, OpenDoor
from tests.bus.gateway.page.conftest import bury, key_of, page
from tests.bus.records import acts

from lorayard import Client, GenerateRequest, Lane
from lorayard_schemas.audit import ActRecord

pytestmark = pytest.mark.bus


@pytest.fixture
async def operated(open_door: OpenDoor) -> AsyncIterator[tuple[Door, httpx.AsyncClient]]:
    """A page that lets its operator act."""
    door: Door = await open_door(gateway_page="operate")
    async with page(door, await key_of(door)) as http:
        yield door, http


async def done(http: httpx.AsyncClient, deed: str, **given: object) -> dict[str, Any]:
    answer = await http.post("/ui/api/act", json={"deed": deed, **given})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_pauses_and_strikes_are_made_and_taken_back_in_the_operators_name(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    door, http = operated
    thing = {"kind": "tenant", "name": "globex"}
    await done(http, "pause", **thing, reason="too loud", for_seconds=600)
    (pause,) = (await door.admin.control.list()).pauses
    assert (pause.name, pause.why, pause.until is not None) == ("globex", "too loud", True)
    assert pause.by.startswith("key ")
    assert pause.by.endswith(" of acme")
    await done(http, "resume", **thing)
    await done(http, "drain", kind="worker", name="w1", reason="new fans")
    (drain,) = (await door.admin.control.list()).pauses
    assert (drain.kind, drain.drain) == ("worker", True)
    await done(http, "strike", adapter=ADAPTER, tenant="globex", reason="it rambles")
    assert [(one.adapter, one.tenant) for one in await door.admin.strikes.list()] == [(ADAPTER, "globex")]
    await done(http, "lift", adapter=ADAPTER, tenant="globex")
    assert not await door.admin.strikes.list()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "deed"),
        ([], "deed"),
        ({"deed": "explode"}, "deed"),
        ({"deed": "pause", "kind": "tenant", "name": "x"}, "reason"),
        ({"deed": "pause", "kind": "tenant", "name": "x", "reason": "   "}, "reason"),
        ({"deed": "pause", "kind": "planet", "name": "x", "reason": "r"}, "kind"),
        ({"deed": "pause", "kind": "lane", "name": "<b>", "reason": "r"}, "name"),
        ({"deed": "pause", "kind": "lane", "name": "bulk", "reason": "r", "for_seconds": -1}, "for_seconds"),
        ({"deed": "strike", "reason": "r"}, "adapter"),
        ({"deed": "cap", "kind": "lane", "name": "bulk", "most": 0, "reason": "r"}, "most"),
        ({"deed": "cap", "kind": "lane", "name": "bulk", "most": True, "reason": "r"}, "most"),
        ({"deed": "cap", "kind": "lane", "name": "bulk", "most": 10**30, "reason": "r"}, "most"),
        ({"deed": "cap", "kind": "lane", "name": "bulk", "most": 1}, "reason"),
        ({"deed": "cap", "kind": "lane", "name": "<b>", "most": 1, "reason": "r"}, "name"),
        ({"deed": "pin"}, "adapter"),
        ({"deed": "pin", "adapter": "no adapter"}, "adapter"),
        ({"deed": "cancel", "tenant": "acme", "job": "../x"}, "job_id"),
        ({"deed": "cancel_matching"}, "tenant"),
        ({"deed": "cancel_matching", "lane": "bulk", "most": 0}, "most"),
        ({"deed": "cancel_matching", "lane": "bulk", "sql": 1}, "sql"),
        ({"deed": "cancel_listed", "jobs": []}, "jobs"),
        ({"deed": "cancel_listed", "jobs": [{"tenant": "acme", "job": "../x"}]}, "jobs.0.job"),
        ({"deed": "redrive_listed", "numbers": [0]}, "numbers.0"),
        ({"deed": "promote", "alias": "no-alias"}, "alias"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_its_field(
    operated: tuple[Door, httpx.AsyncClient], body: object, field: str
) -> None:
    _, http = operated
    answer = await http.post("/ui/api/act", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text


async def test_all_that_match_are_counted_and_no_more_are_cancelled(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    door, http = operated
    ids: dict[str, list[str]] = {}
    for tenant, lane in (("acme", Lane.BULK), ("globex", Lane.BULK), ("globex", Lane.HIGH)):
        async with Client(settings=door.yard.settings, tenant=tenant) as client:
            report = await client.submit_many([GenerateRequest(f"{n}", lane=lane) for n in range(4)])
            ids[f"{tenant} {lane}"] = [handle.id for handle in report.handles]
    meant = {"lane": "bulk"}
    assert (await done(http, "cancel_matching", **meant, count_only=True))["count"] == 8
    assert await door.yard.left() == 12
    told = await done(http, "cancel_matching", **meant, most=6)
    assert (told["count"], told["failed"]) == (6, 0)
    ended = {name: await _ended(door, name.split()[0], jobs) for name, jobs in ids.items()}
    assert [len(jobs) for jobs in ended.values()] == [4, 2, 0]
    left = next(job for job in ids["globex bulk"] if job not in ended["globex bulk"])
    await done(http, "cancel", tenant="globex", job=left)
    assert (await door.yard.result(left, tenant="globex")).state == "cancelled"
    told_acts = [(act.tenant, act.jobs) for act in await _operators_acts(door, "cancel")]
    assert told_acts == [("acme", 4), ("globex", 2), ("globex", 1)], "what was only counted is no act"


async def test_of_what_is_listed_no_other_job_is_cancelled(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    door, http = operated
    jobs: list[dict[str, str]] = []
    for tenant in ("acme", "globex"):
        async with Client(settings=door.yard.settings, tenant=tenant) as client:
            report = await client.submit_many([GenerateRequest(f"{n}") for n in range(3)])
            jobs += [{"tenant": tenant, "job": handle.id} for handle in report.handles]
    listed = [*jobs[:2], *jobs[3:4]]
    assert (await done(http, "cancel_listed", jobs=listed))["text"] == "3 jobs cancelled"
    again = await done(http, "cancel_listed", jobs=[*listed, jobs[5]])
    assert (again["text"], again["count"]) == ("1 job cancelled, 3 had ended before", 1)
    left = [one for one in jobs if await door.yard.stored(one["job"], tenant=one["tenant"]) is None]
    assert left == [jobs[2], jobs[4]]
    told = [(act.tenant, act.jobs) for act in await _operators_acts(door, "cancel")]
    assert told == [("acme", 2), ("globex", 1), ("acme", 2), ("globex", 2)]


async def test_who_did_what_is_logged_also_where_it_failed__f4(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    _, http = operated
    thing = {"kind": "tenant", "name": "globex"}
    with capture_logs() as logs:
        await done(http, "pause", **thing, reason="too loud")
        await done(http, "resume", **thing)
        again = await http.post("/ui/api/act", json={"deed": "resume", **thing})
        await done(http, "cancel_matching", lane="bulk", count_only=True)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_so"), again.text
    acted = [one for one in logs if one["event"] == "page_acted"]
    assert [(one["deed"], one["done"]) for one in acted] == [
        ("pause", "tenant globex is paused"),
        ("resume", "tenant globex is resumed"),
        ("resume", "failed"),
    ]
    assert all(one["by"].endswith(" of acme") for one in acted)


async def _operators_acts(door: Door, verb: str) -> list[ActRecord]:
    """In the audit trail, all of them by who was at the page."""
    found = [act for act in await acts(door.yard.bus) if act.verb == verb]
    assert all(act.actor.startswith("key ") and act.actor.endswith(" of acme") for act in found), found
    return found


async def _ended(door: Door, tenant: str, jobs: list[str]) -> list[str]:
    return [job for job in jobs if await door.yard.stored(job, tenant=tenant) is not None]


async def test_dead_letters_are_listed_and_tried_again(operated: tuple[Door, httpx.AsyncClient]) -> None:
    door, http = operated
    await door.yard.dispatcher()
    await door.yard.publish(b"no job at all")

    async def letters() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await http.get("/ui/api/dead")).json()["letters"]
        return found

    async def is_dead() -> bool:
        return len(await letters()) == 1

    await door.yard.wait_until(is_dead)
    (letter,) = await letters()
    assert "body" not in letter
    query = {"code": letter["code"]}
    assert (await done(http, "redrive_matching", **query, count_only=True))["count"] == 1
    refused = await http.post("/ui/api/act", json={"deed": "redrive", "number": letter["number"]})
    assert (refused.status_code, "no job" in refused.text) == (400, True)
    assert (await done(http, "redrive_matching", **query))["failed"] == 1
    assert (await done(http, "redrive_matching", code="other", count_only=True))["count"] == 0
    told = await done(http, "redrive_listed", numbers=[letter["number"], 999])
    assert told["text"] == "0 jobs queued again, 1 could not be"
    redriven = [(act.job, act.jobs) for act in await _operators_acts(door, "redrive")]
    assert len(redriven) == 3, "of one letter, of all that fit, of those that are listed"
    assert [jobs for _, jobs in redriven] == [1, 0, 1]


async def test_an_alias_is_rolled_back_and_promoted(
    operated: tuple[Door, httpx.AsyncClient], adapters: Any
) -> None:
    door, http = operated
    await door.yard.worker(adapters_dir=adapters)
    alias = f"{ADAPTER}@stable"
    for _ in range(2):
        await door.admin.aliases.split(alias, {"1": 100}, preload_seconds=None)
    assert "1=100" in (await done(http, "rollback", alias=alias, reason="worse"))["text"]
    assert "1=100" in (await done(http, "promote", alias=alias, version="1"))["text"]
    history = await door.admin.aliases.history(alias)
    assert [one.by.startswith("key ") for one in history] == [False, False, True, True]


async def test_of_a_plain_name_a_line_ends_and_not_those_of_its_versions__e4(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    door, http = operated
    async with Client(settings=door.yard.settings, tenant="acme") as client:
        line = [(await client.submit("x", adapter=ADAPTER)).id for _ in range(2)]
        others = [(await client.submit("x", adapter=f"{ADAPTER}@{one}")).id for one in ("1", "stable")]
        others.append((await client.submit("x", adapter=ADAPTER, lane="bulk")).id)
    meant = {"tenant": "acme", "lane": "normal", "named": ADAPTER}
    assert (await done(http, "cancel_matching", **meant, count_only=True))["count"] == 2
    assert (await done(http, "cancel_matching", **meant, most=10))["text"] == "2 jobs cancelled"
    assert sorted(await _ended(door, "acme", [*line, *others])) == sorted(line)


async def test_caps_are_made_and_taken_away_in_the_operators_name__e5(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    door, http = operated
    thing = {"kind": "tenant", "name": "globex"}
    with capture_logs() as logs:
        told = await done(http, "cap", **thing, most=4, reason="fair use")
        (cap,) = (await door.admin.control.list()).caps
        assert (cap.label, cap.most, cap.why, told["text"]) == (
            "tenant globex",
            4,
            "fair use",
            "tenant globex is capped at 4",
        )
        assert cap.by.startswith("key ")
        assert (await done(http, "uncap", **thing))["text"] == "tenant globex has no cap any more"
        again = await http.post("/ui/api/act", json={"deed": "uncap", **thing})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_so"), again.text
    assert not (await door.admin.control.list()).caps
    acted = [(one["deed"], one["name"], one["done"]) for one in logs if one["event"] == "page_acted"]
    assert acted == [
        ("cap", "globex", "tenant globex is capped at 4"),
        ("uncap", "globex", "tenant globex has no cap any more"),
        ("uncap", "globex", "failed"),
    ]


async def test_an_adapter_is_pinned_and_let_go_as_top_does_it__d4(
    operated: tuple[Door, httpx.AsyncClient], adapters: Any
) -> None:
    door, http = operated
    await door.yard.dispatcher()
    await door.yard.worker(adapters_dir=adapters)
    spec = f"{ADAPTER}@1"
    with capture_logs() as logs:
        assert (await done(http, "pin", adapter=spec))["text"] == f"{spec} is pinned"
        declared = (await door.admin.placements(spec)).adapters[0].declared
        assert declared is not None
        assert declared.pin
        text = (await done(http, "unpin", adapter=spec, reason="it is quiet"))["text"]
        assert text == f"{spec} is unpinned"
        declared = (await door.admin.placements(spec)).adapters[0].declared
        assert declared is None or not declared.pin
        unknown = await http.post("/ui/api/act", json={"deed": "pin", "adapter": "o/m/none"})
    assert (unknown.status_code, "o/m/none" in unknown.text) == (400, True), unknown.text
    acted = [(one["deed"], one["adapter"], one["done"]) for one in logs if one["event"] == "page_acted"]
    assert acted == [
        ("pin", spec, f"{spec} is pinned"),
        ("unpin", spec, f"{spec} is unpinned"),
        ("pin", "o/m/none", "failed"),
    ]
    changes = (await http.get("/ui/api/adapter", params={"name": ADAPTER})).json()["changes"]
    told = [one for one in changes if one["what"] == "placements"]
    assert [(one["verb"], one["key"], one["reason"]) for one in told] == [
        ("unpin", spec, "it is quiet"),
        ("pin", spec, ""),
    ], "in the audit trail too"
    assert all(one["actor"].startswith("key ") for one in told)


async def test_the_newest_letters_come_first_a_page_at_a_time_and_all_are_counted__e3(
    operated: tuple[Door, httpx.AsyncClient],
) -> None:
    door, http = operated
    for number in range(5):
        await bury(door, number, "globex" if number == 2 else "acme")

    async def listed(who: httpx.AsyncClient, **given: int | None) -> tuple[list[str], int, int | None]:
        told = (await who.get("/ui/api/dead", params={"limit": 3, **given})).json()
        return [one["job"] for one in told["letters"]], told["total"], told["older"]

    jobs, total, older = await listed(http)
    assert (jobs, total) == (["j4", "j3", "j2"], 5)
    assert await listed(http, before=older) == (["j1", "j0"], 5, None)
    assert await listed(http) == (jobs, total, older), "what has not changed is told again"
    async with page(door, door.key) as tenants:
        jobs, total, older = await listed(tenants)
        assert (jobs, total, older is not None) == (["j4", "j3", "j1"], 4, True)
        assert await listed(tenants, before=older) == (["j0"], 4, None)
    (newest,) = [one.number for one in (await door.admin.dead.newest(limit=1)).letters]
    await door.admin.dead.purge(newest)
    assert (await listed(http))[:2] == (["j3", "j2", "j1"], 4)
    counted: list[dict[str, Any]] = [
        {},
        {"tenant": "acme"},
        {"tenant": "nobody"},
        {"most": 2},
        {"code": "engine_error"},
    ]
    meant = [(await done(http, "redrive_matching", **one, count_only=True))["count"] for one in counted]
    assert meant == [4, 3, 0, 2, 4], "counted, not read"
    assert (await http.get("/ui/api/dead", params={"before": 0})).json()["error"]["param"] == "before"
