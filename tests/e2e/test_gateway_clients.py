"""OpenAI's official clients, as they are, against a gateway of a real yard (E7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai.types import Batch
from openai.types.chat import ChatCompletionMessageParam
from tests.e2e.conftest import Up, interrupt, node_lines, npm_ci, start_up, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "openai-node"
ADAPTER = "acme/tiny/one"
SENTENCE = "The quick brown fox."


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A yard with a gateway that asks for keys."""
    started = start_up(tmp_path_factory.mktemp("gateway-yard"), "--gateway", "0", "--gateway-keys")
    yield started
    started.end()


@pytest.fixture(scope="session")
def key(served: Up) -> str:
    made: str = served.run("keys", "add", "acme", "--json").document["key"]
    return made


@pytest.fixture
def client(served: Up, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.state['gateway']}/v1", api_key=key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def adapter(served: Up) -> str:
    """Any of the yard's."""
    name: str = served.run("adapters", "ls", "--json").document["adapters"][0]["name"]
    return name


def messages(text: str = SENTENCE) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_models_are_listed_and_retrieved__e7(client: openai.OpenAI, adapter: str) -> None:
    found = [model.id for model in client.models.list()]
    assert {"base", "auto", adapter} <= set(found)
    assert client.models.retrieve(adapter).owned_by == adapter.partition("/")[0]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("acme/tiny/none")
    assert unknown.value.code == "model_not_found"


def test_a_chat_is_answered_whole_and_streamed__e7(client: openai.OpenAI, adapter: str) -> None:
    whole = client.chat.completions.create(model=adapter, messages=messages(), temperature=0)
    assert whole.choices[0].message.content == SENTENCE
    assert whole.model == f"{adapter}@1"
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    text, finish, usage = "", None, None
    stream = client.chat.completions.create(
        model=adapter, messages=messages(), stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    assert (text, finish) == (SENTENCE, "stop")
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_the_clients_own_helper_puts_a_stream_together__e7(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="base", messages=messages()) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == SENTENCE


def test_the_older_call_answers_several_prompts_n_times__e7(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="base", prompt=["one", "two"], n=2, max_tokens=20)
    assert [choice.text for choice in answer.choices] == ["one", "one", "two", "two"]


async def test_the_asynchronous_client_asks_many_at_once__e7(served: Up, key: str) -> None:
    import asyncio

    async with openai.AsyncOpenAI(base_url=f"{served.state['gateway']}/v1", api_key=key) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="base", messages=messages(f"number {number}"))
                for number in range(50)
            )
        )
    assert [one.choices[0].message.content for one in answers] == [f"number {n}" for n in range(50)]


def test_refusals_are_the_clients_own_errors__e7(client: openai.OpenAI, served: Up) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="acme/tiny/none", messages=messages())
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="base", messages=messages(), temperature=11)
    assert (bad.value.param, bad.value.type) == ("temperature", "invalid_request_error")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
    with pytest.raises(openai.BadRequestError) as embeddings:
        client.embeddings.create(model="base", input="x", encoding_format="float")
    assert embeddings.value.code == "unsupported_model"
    same = {"Idempotency-Key": "refusals"}
    client.chat.completions.create(model="base", messages=messages("a"), extra_headers=same)
    with pytest.raises(openai.ConflictError):
        client.chat.completions.create(model="base", messages=messages("b"), extra_headers=same)


def test_a_limit_is_the_clients_rate_limit_error__e7(served: Up) -> None:
    key = served.run("keys", "add", "small", "--json").document["key"]
    limited = served.run("limits", "set", "--tenant", "small", "--requests-per-day", "1", "--why", "test")
    assert limited.exit_code == 0, limited.err

    def ask_until_refused(client: openai.OpenAI) -> None:
        for _ in range(200):
            client.chat.completions.create(model="base", messages=messages())

    limited_client = openai.OpenAI(base_url=f"{served.state['gateway']}/v1", api_key=key, max_retries=0)
    with limited_client, pytest.raises(openai.RateLimitError) as refused:
        ask_until_refused(limited_client)
    assert refused.value.code == "rate_limit_exceeded"
    assert int(refused.value.response.headers["retry-after"]) >= 1


def test_a_tool_that_is_not_offered_is_refused_by_name__e7(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model="base",
            messages=messages(),
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        )
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "tools")


def lines_of(adapter: str, *ids: str) -> bytes:
    """A batch's input."""
    asked = [
        {
            "custom_id": one,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": adapter, "messages": messages(one)},
        }
        for one in ids
    ]
    return "".join(json.dumps(one) + "\n" for one in asked).encode()


def ended(client: openai.OpenAI, batch: Batch) -> Batch:
    """It, once it has ended."""
    found = [batch]

    def over() -> bool:
        found.append(client.batches.retrieve(batch.id))
        return found[-1].status in ("completed", "failed", "expired", "cancelled")

    wait_until(over, "the batch has ended")
    return found[-1]


def test_files_go_up_and_come_down__e7(client: openai.OpenAI, adapter: str) -> None:
    body = lines_of(adapter, "a")
    made = [client.files.create(file=(f"{n}.jsonl", body), purpose="batch") for n in range(3)]
    assert (made[0].filename, made[0].bytes, made[0].purpose) == ("0.jsonl", len(body), "batch")
    assert client.files.retrieve(made[0].id) == made[0]
    assert client.files.wait_for_processing(made[0].id).status == "processed"
    assert client.files.content(made[0].id).read() == body
    pages = client.files.list(purpose="batch", limit=1)
    assert [one.id for one in pages][:3] == [one.id for one in made[::-1]]
    soon = client.files.create(
        file=("soon.jsonl", body), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert soon.expires_at is not None
    assert soon.expires_at - soon.created_at == 3600
    for one in (*made, soon):
        assert client.files.delete(one.id).deleted
    with pytest.raises(openai.NotFoundError) as gone:
        client.files.retrieve(made[0].id)
    assert gone.value.code == "file_not_found"
    with pytest.raises(openai.BadRequestError) as purpose:
        client.files.create(file=("a", body), purpose="fine-tune")
    assert purpose.value.param == "purpose"


def test_a_batch_is_made_polled_and_read__e7(client: openai.OpenAI, adapter: str) -> None:
    body = lines_of(adapter, "a", "b") + lines_of("acme/tiny/none", "c")
    file = client.files.create(file=("in.jsonl", body), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"for": "a test"},
    )
    told = ended(client, batch)
    assert (told.status, told.metadata) == ("completed", {"for": "a test"})
    assert told.request_counts is not None
    assert (told.request_counts.completed, told.request_counts.failed) == (2, 1)
    assert told.output_file_id is not None
    assert told.error_file_id is not None
    output = map(json.loads, client.files.content(told.output_file_id).text.splitlines())
    answers = {
        one["custom_id"]: one["response"]["body"]["choices"][0]["message"]["content"] for one in output
    }
    assert answers == {"a": "a", "b": "b"}
    errors = [json.loads(one) for one in client.files.content(told.error_file_id).text.splitlines()]
    assert [(one["custom_id"], one["error"]["code"]) for one in errors] == [("c", "model_not_found")]
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)


def test_batches_are_listed_cancelled_and_refused__e7(
    client: openai.OpenAI, served: Up, adapter: str
) -> None:
    file = client.files.create(file=("in.jsonl", lines_of(adapter, "a", "b")), purpose="batch")
    assert served.run("lanes", "pause", "bulk", "--why", "so that it is not answered").exit_code == 0
    try:
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        wait_until(lambda: client.batches.retrieve(batch.id).status == "in_progress", "it is in progress")
        assert next(iter(client.batches.list(limit=1))).id == batch.id
        assert len([one.id for one in client.batches.list(limit=1)]) >= 2
        assert client.batches.cancel(batch.id).status == "cancelling"
        told = ended(client, batch)
    finally:
        assert served.run("lanes", "resume", "bulk").exit_code == 0
    assert (told.status, told.output_file_id) == ("cancelled", None)
    wrong = client.files.create(file=("in.jsonl", lines_of(adapter, "a", "a")), purpose="batch")
    failed = ended(
        client,
        client.batches.create(
            input_file_id=wrong.id, endpoint="/v1/chat/completions", completion_window="24h"
        ),
    )
    assert failed.errors is not None
    assert failed.errors.data is not None
    assert [(one.line, one.code) for one in failed.errors.data] == [(2, "duplicate_custom_id")]
    with pytest.raises(openai.BadRequestError) as endpoint:
        client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    assert endpoint.value.param == "endpoint"
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")


def test_openais_client_for_node_does_all_of_its_tour__e7(
    served: Up, key: str, tmp_path: Path, adapter: str
) -> None:
    folder = npm_ci(EXAMPLE, tmp_path / "example")
    where = {"LORAYARD_GATEWAY": served.state["gateway"], "LORAYARD_KEY": key}
    told = {line["step"]: line for line in node_lines(folder, "tour.mjs", adapter, env=where)}
    assert adapter in told["models"]["models"]
    assert told["models"]["shown"] == adapter
    assert (told["chat"]["text"], told["chat"]["model"]) == (SENTENCE, f"{adapter}@1")
    assert (told["stream"]["text"], told["stream"]["finish"]) == (SENTENCE, "stop")
    assert told["stream"]["tokens"] == told["chat"]["usage"]["completion_tokens"]
    assert told["completions"]["texts"] == ["one", "two"]
    assert told["again"]["same"]
    assert (told["unknown"]["error"], told["unknown"]["code"]) == ("NotFoundError", "model_not_found")
    assert (told["bad"]["error"], told["bad"]["param"]) == ("BadRequestError", "temperature")
    assert told["key"]["error"] == "AuthenticationError"
    assert told["file"]["same"]
    assert told["listed"]["first"] == told["file"]["id"]
    assert (told["batch"]["status"], told["batch"]["counts"]) == (
        "completed",
        {"total": 2, "completed": 2, "failed": 0},
    )
    assert told["output"]["texts"] == {"a": "one", "b": "two"}
    assert told["deleted"]["deleted"]
    assert (told["gone"]["error"], told["gone"]["code"]) == ("NotFoundError", "file_not_found")
    assert (told["ended"]["error"], told["ended"]["code"]) == ("ConflictError", "batch_not_cancellable")


def test_the_lockfile_names_no_host() -> None:
    """Whoever installs asks the registry that is set there."""
    lock = json.loads((EXAMPLE / "package-lock.json").read_text(encoding="utf-8"))
    packages = [told for name, told in lock["packages"].items() if name]
    assert all("resolved" not in told and told["integrity"].startswith("sha512-") for told in packages)


def test_a_yard_serves_without_keys_on_this_machine_and_stops_in_order__e7(tmp_path: Path) -> None:
    up = start_up(tmp_path, "--gateway", "0")
    try:
        url = up.state["gateway"]
        with openai.OpenAI(base_url=f"{url}/v1", api_key="whatever", max_retries=0) as client:
            answer = client.chat.completions.create(model="base", messages=messages())
            assert answer.choices[0].message.content == SENTENCE
        assert httpx.get(f"{url}/v1/models", headers={"host": "evil.example"}).status_code == 403
        up.seen.update(pid for pid in up.state["children"].values() if pid)
        assert interrupt(up) == 0
        assert not up.survivors()
    finally:
        up.end()


def test_a_port_in_use_and_an_open_door_are_refused__e7(served: Up, tmp_path: Path) -> None:
    port = served.state["gateway"].rpartition(":")[2]
    taken = served.run("gateway", "--port", port)
    assert (taken.exit_code, "LORAYARD_GATEWAY_PORT" in taken.err) == (2, True)
    opened = served.run("gateway", "--host", "0.0.0.0", "--port", "0", "--no-keys")
    assert (opened.exit_code, "127.0.0.1 only" in opened.err) == (2, True)
    del tmp_path
