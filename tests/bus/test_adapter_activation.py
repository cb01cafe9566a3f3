"""Before a version serves a worker tries it (D3): it loads, generates, and answers as is expected."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
from tests.bus.conftest import Yard

from lorayard import AdapterState, Client, InvalidRequestError, NotValidatedError, TransitionError
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState
from lorayard_schemas.routes import RouteRule, RouteTable
from lorayard_schemas.validation import VALIDATE
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.errors import VersionNamedError, VersionUnknownError
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.route_store import RouteStore
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

NAME = "acme/tiny/echo"
WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_tiny_adapter(tmp_path / "mine", seed=1, targets=("q_proj",))


def expect(folder: Path, *expectations: dict[str, object]) -> None:
    (folder / "self_check.json").write_text(json.dumps({"expectations": expectations}))


async def test_a_version_is_tried_by_a_worker_then_serves__d3(
    yard: Yard, client: Client, folder: Path, tmp_path: Path
) -> None:
    expect(folder, {"prompt": "say this", "text": "say"})  # an echo worker answers with the prompt
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    record = await client.adapters.activate(NAME, reason="go")
    assert record.state is AdapterState.ACTIVE
    assert record.base_digest == (await yard.advert()).base_digest
    assert record.columns == 8
    await yard.publish(Job(id="j", prompt="hello"), adapter=NAME)
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def test_a_version_that_is_only_validated_serves_nobody(
    yard: Yard, client: Client, folder: Path, tmp_path: Path
) -> None:
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    assert (await client.adapters.validate(NAME)).state is AdapterState.VALIDATED
    await yard.publish(Job(id="j", prompt="hello"), adapter=f"{NAME}@1")
    error = (await yard.result("j")).error
    assert error is not None
    assert error.code == "unknown_adapter"


@pytest.mark.parametrize("given", [{"text": "something else"}, {"token_ids": [1, 2, 3]}])
async def test_a_version_that_answers_otherwise_than_expected_is_refused__d3(
    yard: Yard, client: Client, folder: Path, tmp_path: Path, given: dict[str, object]
) -> None:
    expect(folder, {"prompt": "say this", "text": "say"}, {"prompt": "say that", **given})
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    with pytest.raises(NotValidatedError, match=r"worker w1 refused it: self_check\.json: expectations\.1: "):
        await client.adapters.activate(NAME)
    record = await client.adapters.find(NAME)
    assert record.state is AdapterState.REFUSED
    assert record.refusal is not None
    assert record.refusal.worker == "w1"
    assert "expectations.1" in record.refusal.reason
    with pytest.raises(TransitionError, match="is refused"):
        await client.adapters.activate(NAME)


async def test_what_another_version_of_the_same_weights_expected_counts_for_that_alone(
    yard: Yard, client: Client, folder: Path, tmp_path: Path
) -> None:
    """The worker has the weights on its disk, from a version without expectations."""
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    await client.adapters.activate(NAME)
    expect(folder, {"prompt": "say this", "text": "never"})
    await client.adapters.push(folder, name=NAME, version="2")
    with pytest.raises(NotValidatedError, match=r"expectations\.0"):
        await client.adapters.activate(f"{NAME}@2")
    assert (await client.adapters.find(f"{NAME}@1")).state is AdapterState.ACTIVE


async def test_a_refused_version_can_be_tried_again(
    yard: Yard, client: Client, folder: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    await Records(yard.bus).move(NAME, "1", AdapterState.REFUSED, Author(actor="t"), verb="refuse")
    assert (await client.adapters.validate(NAME)).state is AdapterState.VALIDATED


async def test_a_worker_whose_limits_are_too_small_leaves_it_to_another(
    yard: Yard, client: Client, tmp_path: Path
) -> None:
    wide = make_tiny_adapter(tmp_path / "wide", seed=1, rank=16, targets=("q_proj",))
    await yard.worker("a-small", max_rank=8, pulled_dir=tmp_path / "a")
    await yard.worker("b-large", pulled_dir=tmp_path / "b")
    await client.adapters.push(wide, name=NAME, version="1")
    assert (await client.adapters.activate(NAME)).state is AdapterState.ACTIVE


async def test_without_a_worker_it_stays_pushed_and_says_so(client: Client, folder: Path) -> None:
    await client.adapters.push(folder, name=NAME, version="1")
    with pytest.raises(NotValidatedError, match="it was not tried: no worker"):
        await client.adapters.activate(NAME)
    assert (await client.adapters.find(NAME)).state is AdapterState.PUSHED


async def test_only_workers_that_cannot_try_it_are_named_with_their_reasons(
    yard: Yard, client: Client, tmp_path: Path
) -> None:
    wide = make_tiny_adapter(tmp_path / "wide", seed=1, rank=16, targets=("q_proj",))
    await yard.worker(max_rank=8, pulled_dir=tmp_path / "a")
    await client.adapters.push(wide, name=NAME, version="1")
    with pytest.raises(NotValidatedError, match=r"w1: .* has rank 16, and LORAYARD_MAX_RANK here is 8"):
        await client.adapters.activate(NAME)
    assert (await client.adapters.find(NAME)).state is AdapterState.PUSHED


async def test_an_archived_version_serves_no_more_and_may_serve_again__d6(
    yard: Yard, client: Client, folder: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    await client.adapters.activate(NAME)
    assert (await client.adapters.archive(f"{NAME}@1")).state is AdapterState.ARCHIVED
    numbers = count()

    async def refused() -> bool:  # the dispatcher hears of it on another way than of jobs
        probe = f"j1-{next(numbers)}"
        await yard.publish(Job(id=probe, prompt="hello"), adapter=f"{NAME}@1")
        return (await yard.result(probe)).error is not None

    await wait_until(refused)
    assert (await client.adapters.activate(NAME)).state is AdapterState.ACTIVE
    await yard.publish(Job(id="j2", prompt="hello"), adapter=f"{NAME}@1")
    assert (await yard.result("j2")).state is ResultState.SUCCEEDED


async def test_a_version_that_requests_are_led_to_is_not_archived(
    yard: Yard, client: Client, folder: Path, tmp_path: Path
) -> None:
    await yard.worker(pulled_dir=tmp_path / "pulled")
    records: dict[str, AdapterRecord] = {}
    for version in ("1", "2"):
        await client.adapters.push(folder, name=NAME, version=version)
        records[version] = await client.adapters.activate(f"{NAME}@{version}")
    author, aliases = Author(actor="me"), AliasStore(yard.bus)
    both = SplitWish(adapter=NAME, alias="stable", weights=(("1", 0.0), ("2", 100.0)))
    await aliases.split(both, records, author)
    rule = RouteRule(name="all", adapter=f"{NAME}@2")
    await RouteStore(yard.bus).put(RouteTable(rules=(rule,)), author)
    with pytest.raises(VersionNamedError, match=f"{NAME}@2 serves alias {NAME}@stable, rule all: "):
        await client.adapters.archive(f"{NAME}@2")
    with pytest.raises(InvalidRequestError, match="say which version"):
        await client.adapters.archive(NAME)
    assert (await client.adapters.find(f"{NAME}@2")).state is AdapterState.ACTIVE
    assert (await client.adapters.archive(f"{NAME}@1")).state is AdapterState.ARCHIVED  # nobody gets it
    with pytest.raises(VersionUnknownError, match="would be an alias: say which version"):
        await client.adapters.find(f"{NAME}@stable")


async def test_a_version_that_serves_is_not_taken_away_by_one_worker(
    yard: Yard, client: Client, folder: Path, tmp_path: Path
) -> None:
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    active: AdapterRecord = await client.adapters.activate(NAME)
    assert await client.adapters.validate(NAME) == active


async def test_a_worker_that_dies_as_it_tries_a_version_is_not_waited_for(
    yard: Yard, client: Client, folder: Path, tmp_path: Path
) -> None:
    await yard.worker(pulled_dir=tmp_path / "pulled")
    await client.adapters.push(folder, name=NAME, version="1")
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("workers"))
    # It comes before w1, hears the wish, and is no more when its answer is due.
    dead = (await yard.advert()).model_copy(update={"worker": "a"})
    asked = await yard.bus.nc.subscribe(yard.bus.subjects.control("a", VALIDATE))
    await bucket.put("a", encode(dead))
    validating = asyncio.create_task(client.adapters.validate(NAME))
    await asked.next_msg(timeout=10)
    await bucket.delete("a")
    assert (await validating).state is AdapterState.VALIDATED
