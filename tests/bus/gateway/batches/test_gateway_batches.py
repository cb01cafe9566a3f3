"""Batches of HTTP clients: what is answered, what is refused, and who sees it (E6, E7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER
from tests.bus.gateway.batches.conftest import begun, ended, jsonl, line, read, shown
from tests.bus.gateway.conftest import Door, OpenDoor

pytestmark = [pytest.mark.bus, pytest.mark.timeout(90)]


async def test_a_batch_is_answered_line_by_line__e7(batch_door: Door, tmp_path: Path) -> None:
    lines = [line(str(number), model=("base", ADAPTER)[number % 2]) for number in range(40)]
    lines += [line("hot", temperature=11), line("gone", model="acme/tiny/none")]
    kept = {"anchor": "created_at", "seconds": 3600}
    async with batch_door.http() as http:
        batch = await begun(http, jsonl(lines), metadata={"a": "b"}, output_expires_after=kept)
        assert (batch["object"], batch["status"], batch["metadata"]) == ("batch", "validating", {"a": "b"})
        assert batch["expires_at"] - batch["created_at"] == 86_400
        told = await ended(batch_door, http, batch)
        assert told["status"] == "completed"
        assert told["request_counts"] == {"total": 42, "completed": 40, "failed": 2}
        times = [told[f"{name}_at"] for name in ("created", "in_progress", "finalizing", "completed")]
        assert times == sorted(times)
        output, errors = await read(http, told["output_file_id"]), await read(http, told["error_file_id"])
        assert output.keys() == {str(number) for number in range(40)}
        assert output["1"]["response"]["body"]["model"] == f"{ADAPTER}@1"
        assert output["1"]["response"]["body"]["choices"][0]["text"] == "p-1"
        assert {one: errors[one]["error"]["code"] for one in errors} == {
            "hot": "invalid_value",
            "gone": "model_not_found",
        }
        file = (await http.get(f"/v1/files/{told['output_file_id']}")).json()
        assert (file["purpose"], file["expires_at"] - file["created_at"]) == ("batch_output", 3600)
        listed = (await http.get("/v1/files", params={"purpose": "batch_output"})).json()["data"]
        assert {one["id"] for one in listed} == {told["output_file_id"], told["error_file_id"]}
        late = await http.post(f"/v1/batches/{batch['id']}/cancel")
        assert (late.status_code, late.json()["error"]["code"]) == (409, "batch_not_cancellable")
    # Its folder goes after its end is told.
    await batch_door.yard.wait_until(lambda: not list((tmp_path / "work").glob("*/batch_*")))


BAD = [
    (b"no json\n", 1, "invalid_json_line"),
    (b"\n\xff\n", 2, "invalid_utf8"),
    (jsonl([line("a"), line("b"), line("a")]), 3, "duplicate_custom_id"),
    (jsonl([line("a"), {**line("b"), "method": "GET"}]), 2, "invalid_method"),
    (jsonl([line("a"), {**line("b"), "url": "/v1/embeddings"}]), 2, "invalid_url"),
    (
        jsonl(
            [
                {
                    **line("b"),
                    "url": "/v1/chat/completions",
                    "body": {"model": "base", "messages": [{"role": "user", "content": "x"}]},
                }
            ]
        ),
        1,
        "invalid_url",
    ),
    (jsonl([line("a"), {**line("b"), "custom_id": None}]), 2, "missing_custom_id"),
    (b"", None, "empty_file"),
    (b"\n\n", None, "empty_file"),
    (jsonl([line(str(number)) for number in range(6)]), None, "too_many_lines"),
]


@pytest.mark.parametrize(("body", "number", "code"), BAD, ids=[one[2] + str(len(one[0])) for one in BAD])
async def test_a_batch_that_is_none_fails_and_names_the_line__e7(
    open_door: OpenDoor, tmp_path: Path, body: bytes, number: int | None, code: str
) -> None:
    door: Door = await open_door(gateway_batches_dir=tmp_path, gateway_batch_lines=5)
    async with door.http() as http:
        told = await ended(door, http, await begun(http, body))
        assert (told["status"], told["output_file_id"], told["error_file_id"]) == ("failed", None, None)
        assert told["failed_at"] >= told["created_at"]
        assert [(one["line"], one["code"]) for one in told["errors"]["data"]] == [(number, code)]
        assert told["errors"]["data"][0]["message"]


async def test_a_batch_of_another_tenant_does_not_exist__d7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    stranger: Door = await open_door("other", gateway_batches_at_once=0)
    async with door.http() as http, stranger.http() as theirs:
        batch = await begun(http, jsonl([line("a")]))
        for method, path in (("GET", ""), ("POST", "/cancel")):
            refused = await theirs.request(method, f"/v1/batches/{batch['id']}{path}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "batch_not_found")
        assert (await theirs.get("/v1/batches")).json()["data"] == []
        asked = {
            "input_file_id": batch["input_file_id"],
            "endpoint": "/v1/completions",
            "completion_window": "24h",
        }
        stolen = await theirs.post("/v1/batches", json=asked)
        assert (stolen.status_code, stolen.json()["error"]["param"]) == (404, "input_file_id")
        assert (await shown(http, batch))["status"] == "validating"


async def test_batches_are_listed_in_pages_the_newest_first__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    async with door.http() as http:
        made = [(await begun(http, jsonl([line("a")])))["id"] for _ in range(5)]
        first = (await http.get("/v1/batches", params={"limit": 2})).json()
        assert (first["has_more"], first["last_id"]) == (True, made[3])
        rest = (await http.get("/v1/batches", params={"after": made[3]})).json()
        assert [one["id"] for one in first["data"] + rest["data"]] == made[::-1]
        assert not rest["has_more"]
        for query in ({"limit": "0"}, {"limit": "x"}, {"after": "batch_1"}):
            assert (await http.get("/v1/batches", params=query)).status_code == 400


FINE = {"input_file_id": "file-" + "0" * 26, "endpoint": "/v1/completions", "completion_window": "24h"}


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (FINE, 404, "input_file_id"),
        ({**FINE, "input_file_id": "file-*"}, 404, "input_file_id"),
        ({**FINE, "input_file_id": "\ud800"}, 400, "input_file_id"),
        ({**FINE, "endpoint": "/v1/embeddings"}, 400, "endpoint"),
        ({**FINE, "completion_window": "1h"}, 400, "completion_window"),
        ({**FINE, "metadata": {"a": 1}}, 400, "metadata.a"),
        ({**FINE, "metadata": {"a": "\ud800"}}, 400, "metadata.a"),
        ({**FINE, "metadata": {str(number): "" for number in range(17)}}, 400, "metadata"),
        ({**FINE, "what": 1}, 400, "what"),
        ([], 400, "body"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused_by_its_field__e7(
    open_door: OpenDoor, body: Any, status: int, param: str
) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    async with door.http({**door.headers, "content-type": "application/json"}) as http:
        refused = await http.post("/v1/batches", content=json.dumps(body))
        assert (refused.status_code, refused.json()["error"]["param"]) == (status, param)


async def test_a_batch_is_made_once_under_its_key__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_batches_at_once=0)
    async with door.http() as http:
        file = (await begun(http, jsonl([line("a")])))["input_file_id"]
        asked, key = {**FINE, "input_file_id": file}, {"idempotency-key": "k"}
        made = [(await http.post("/v1/batches", json=asked, headers=key)).json() for _ in range(2)]
        assert made[0] == made[1]
        other = await http.post("/v1/batches", json={**asked, "metadata": {"a": "b"}}, headers=key)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
        listed = (await http.get("/v1/batches")).json()["data"]
        assert (len(listed), listed[0]) == (2, made[0]), "in the order of time, whatever the ids"


async def test_an_output_is_no_input__e7(batch_door: Door) -> None:
    async with batch_door.http() as http:
        told = await ended(batch_door, http, await begun(http, jsonl([line("a")])))
        refused = await http.post("/v1/batches", json={**FINE, "input_file_id": told["output_file_id"]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input_file_id")
