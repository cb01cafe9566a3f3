"""What the page shows of the yard and of one job, as it changes (F3, B11)."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.gateway.conftest import Door, OpenDoor
from tests.bus.gateway.page.conftest import events, key_of, page, whole

from lorayard import Client
from lorayard_cli.commands.explain import explain
from lorayard_cli.options import Output, YardAddress

pytestmark = pytest.mark.bus

HOSTILE = "<img src=x onerror=alert(1)>"


async def shown(http: httpx.AsyncClient, tenant: str, job: str) -> dict[str, Any]:
    answer = await http.get("/ui/api/job", params={"tenant": tenant, "job": job})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_waiting_job_is_counted_listed_and_explained__b11(open_door: OpenDoor, yard: Yard) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    await yard.dispatcher()
    async with Client(settings=yard.settings, tenant=HOSTILE) as client, page(door, None) as http:
        handle = await client.submit("hello", lane="bulk")

        async def is_counted() -> bool:
            rows = (await whole(http))["tables"]["queues"].values()
            return [(row["tenant"], row["lane"], row["jobs"]) for row in rows] == [(HOSTILE, "bulk", 1)]

        await yard.wait_until(is_counted)
        (row,) = (await http.get("/ui/api/jobs", params={"tenant": HOSTILE, "lane": "bulk"})).json()["jobs"]
        assert (row["job"], row["adapter"], row["attempt"]) == (handle.id, None, 1)

        async def waits() -> bool:
            return bool((await shown(http, HOSTILE, handle.id))["status"]["place"] == "parked")

        await yard.wait_until(waits)
        told = await shown(http, HOSTILE, handle.id)
        assert told["status"]["sentence"].endswith("in lane bulk: no worker is alive")
        assert [step["kind"] for step in told["steps"]] == ["published", "waits"]


async def test_a_job_page_and_explain_say_the_same__b11(
    open_door: OpenDoor, yard: Yard, adapters: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    async with Client(settings=yard.settings, tenant="acme") as client, page(door, None) as http:
        handle = await client.submit("hello", adapter=ADAPTER)
        await handle.result(30)

        async def is_on_record() -> bool:
            return bool((await shown(http, "acme", handle.id))["decisions"])

        await yard.wait_until(is_on_record)
        told = await shown(http, "acme", handle.id)
        address = YardAddress(url=yard.settings.url, prefix=yard.settings.prefix)
        await explain(handle.id, tenant="acme", yard=address, output=Output(json=False))
        said = " ".join(capsys.readouterr().out.split())
        # But for how long ago it was.
        assert (
            said.partition("; it went there")[2] == told["status"]["sentence"].partition("; it went there")[2]
        )
        (decision,) = told["decisions"]
        assert (decision["worker"], decision["adapter"]["name"]) == ("w1", ADAPTER)
        kinds = [step["kind"] for step in told["steps"]]
        assert (kinds[0], kinds[1], kinds[-1]) == ("published", "assigned", "ended")
        assert told["result"]["maker"]["worker"] == "w1"
        assert "text" not in told["result"]
        (ended,) = (await http.get("/ui/api/jobs?state=ended")).json()["jobs"]
        assert (ended["job"], ended["state"], ended["adapter"]) == (handle.id, "succeeded", f"{ADAPTER}@1")


async def test_prompts_and_answers_are_shown_only_where_that_is_let(open_door: OpenDoor, yard: Yard) -> None:
    async with Client(settings=yard.settings, tenant="acme") as client:
        handle = await client.submit("a secret")
        params = {"tenant": "acme", "job": handle.id}
        closed: Door = await open_door(gateway_page="read")
        async with page(closed, await key_of(closed)) as http:
            assert (await http.get("/ui/api/texts", params=params)).status_code == 403
        let: Door = await open_door(gateway_page="read", gateway_page_texts=True)
        async with page(let, await key_of(let, role="viewer")) as http:
            assert (await http.get("/ui/api/texts", params=params)).status_code == 403
        async with page(let, await key_of(let)) as http:
            with capture_logs() as logs:
                told = (await http.get("/ui/api/texts", params=params)).json()
            assert [(one["event"], one["deed"], one["job"]) for one in logs if "deed" in one] == [
                ("page_acted", "texts", handle.id)
            ]
            assert "a secret" not in str(logs)
            assert told == {"prompt": "a secret", "answer": None}
            await yard.dispatcher()
            await yard.worker()
            await handle.result(30)
            assert (await http.get("/ui/api/texts", params=params)).json()["answer"] == "a secret"


async def test_a_stream_that_was_cut_goes_on_where_it_was__f3(open_door: OpenDoor, yard: Yard) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    async with Client(settings=yard.settings, tenant="acme") as client, page(door, None) as http:
        async with events(http) as stream:
            first = await anext(stream)
            while not first.data.get("head", {}).get("prefix"):
                first = await anext(stream)
        await client.submit("one")
        async with events(http, **{"last-event-id": first.id}) as stream:
            unfinished = 0
            async for event in stream:
                assert event.name == "change", "what it has is not told again"
                unfinished = event.data.get("head", {}).get("overview", {}).get("unfinished", unfinished)
                if unfinished == 1:
                    break
        async with events(http, **{"last-event-id": "00000000.7"}) as stream:
            assert (await anext(stream)).name == "whole", "nobody knows what a stranger has"


async def test_viewers_share_one_reader_and_hear_once_a_second_at_most__f3(
    open_door: OpenDoor, yard: Yard
) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    await yard.dispatcher()

    all_listen = asyncio.Barrier(5)

    async def listen() -> tuple[float, ...]:
        heard: list[float] = []
        async with page(door, None) as http, events(http) as stream:
            await anext(stream)
            await all_listen.wait()
            since = time.time()
            async for event in stream:
                if "point" in event.data and event.data["point"][0] > since:
                    heard.append(event.data["point"][0])
                if len(heard) == 3:
                    break
        return tuple(heard)

    heard = await asyncio.gather(*(listen() for _ in range(5)))
    (each,) = set(heard)  # one reading goes to all
    assert all(later - before > 0.5 for before, later in itertools.pairwise(each))


async def test_an_adapter_page_has_versions_aliases_and_history__f3(
    open_door: OpenDoor, adapters: Any
) -> None:
    door: Door = await open_door(gateway_page="read")
    await door.yard.dispatcher()
    await door.yard.worker(adapters_dir=adapters)
    await door.admin.aliases.split(f"{ADAPTER}@stable", {"1": 100}, preload_seconds=None, reason="first")
    async with page(door, await key_of(door, role="viewer")) as http:

        async def is_known() -> bool:
            answer = await http.get("/ui/api/adapter", params={"name": ADAPTER})
            return answer.status_code == 200 and bool(answer.json()["aliases"])

        await door.yard.wait_until(is_known)
        told = (await http.get("/ui/api/adapter", params={"name": ADAPTER})).json()
        assert [one["version"] for one in told["versions"]] == ["1"]
        (alias,) = told["aliases"]
        assert (alias["now"]["arms"], alias["now"]["why"]) == ([{"version": "1", "weight": 100.0}], "first")
        assert ("aliases", "first") in [(one["what"], one["reason"]) for one in told["changes"]]
        assert (await http.get("/ui/api/adapter", params={"name": "a/b/none"})).status_code == 404
        async with page(door, door.key) as tenants:
            (now,) = (await tenants.get("/ui/api/adapter", params={"name": ADAPTER})).json()["aliases"]
            assert now["arms"] == alias["now"]["arms"]
            assert not {"by", "why"} & now.keys(), "who changes what is no tenant's business"
            assert (await tenants.get("/ui/api/past", params={"name": ADAPTER})).status_code == 404

        async def has_a_past() -> bool:
            answer = await http.get("/ui/api/past", params={"name": ADAPTER})
            return [len(point) for point in answer.json()["points"][:1]] == [5]

        await door.yard.wait_until(has_a_past)


async def test_a_stream_that_is_gone_is_told_and_no_fault_of_the_gateway(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_page="read", gateway_keys=False)
    await door.yard.bus.api(f"STREAM.DELETE.{door.yard.bus.subjects.stream('results')}")
    async with page(door, None) as http:
        answer = await http.get("/ui/api/jobs?state=ended")
    assert (answer.status_code, "stream not found" in answer.text) == (503, True)
