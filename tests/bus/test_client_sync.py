"""The blocking twin has every verb, serves several threads, and ends cleanly (E2)."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from nats.aio.msg import Msg

from lorayard import (
    BusUnavailableError,
    CancelOutcome,
    Client,
    ClientClosedError,
    GenerateRequest,
    InvalidRequestError,
    JobHandle,
    JobTimeoutError,
    ResultState,
    SyncClient,
    SyncJobHandle,
)
from lorayard.registry.sync_schedules import SyncSchedules
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import connect
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus


class EchoYard:
    """Answers every job with its prompt, from a thread of its own."""

    def __init__(self, settings: YardSettings) -> None:
        self._settings = settings
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def start(self) -> None:
        """Returns once it listens."""
        self._thread.start()
        assert self._listening.wait(30)

    def stop(self) -> None:
        """Waits for its end."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        async with await connect(self._settings, name="echo") as bus:
            store = ResultStore(bus, PayloadStore(bus))

            async def answer(message: Msg) -> None:
                job = decode(Job, message.data)
                if job.prompt != "silence":
                    await store.store(
                        JobResult(job=job.id, tenant="default", state=ResultState.SUCCEEDED, text=job.prompt)
                    )

            await bus.nc.subscribe(bus.subjects.jobs, cb=answer)
            await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
            self._listening.set()
            await self._stopped.wait()


@pytest.fixture
def yard(settings: YardSettings) -> Iterator[SyncClient]:
    echo = EchoYard(settings)
    echo.start()
    with SyncClient(settings=settings) as yard:
        yield yard
    echo.stop()


def test_generate_blocks_until_the_answer(yard: SyncClient) -> None:
    assert yard.generate("hello", timeout_seconds=30).text == "hello"


def test_handles_work_as_their_twins_do(yard: SyncClient) -> None:
    handle = yard.submit("hello", idempotency_key="k")
    assert handle.result(timeout_seconds=30).text == "hello"
    assert handle.done()
    again = yard.handle(handle.id)
    assert again.outcome(timeout_seconds=30).state is ResultState.SUCCEEDED
    assert (handle.existing, again.existing) == (False, True)
    assert handle.cancel() is CancelOutcome.FINISHED


def test_many_jobs_get_their_answers(yard: SyncClient) -> None:
    report = yard.submit_many(GenerateRequest(f"text {number}") for number in range(300))
    answers = [handle.result(timeout_seconds=30).text for handle in report.all_handles()]
    assert answers == [f"text {number}" for number in range(300)]


def test_the_yard_is_looked_at(yard: SyncClient) -> None:
    assert (yard.adapters(), yard.workers(), yard.queue_depth().total) == ([], [], 0)


def test_errors_arrive_as_they_are(yard: SyncClient) -> None:
    with pytest.raises(InvalidRequestError, match="prompt"):
        yard.generate("")
    with pytest.raises(JobTimeoutError):
        yard.generate("silence", timeout_seconds=0.01)


def test_several_threads_share_one_client(yard: SyncClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = [f"text {number}" for number in range(64)]
        results = [pool.submit(yard.generate, text, timeout_seconds=30) for text in texts]
        assert [result.result().text for result in results] == texts


def test_ctrl_c_ends_the_wait_and_leaves_the_client_usable(yard: SyncClient) -> None:
    handle = yard.submit("silence")
    main = threading.get_ident()
    interrupt = threading.Thread(target=lambda: signal.pthread_kill(main, signal.SIGINT))

    def wait_for_ever() -> None:
        interrupt.start()
        handle.result()

    with pytest.raises(KeyboardInterrupt):
        wait_for_ever()
    interrupt.join()
    assert yard.generate("hello", timeout_seconds=30).text == "hello"


def test_closing_ends_a_wait_in_another_thread(settings: YardSettings) -> None:
    yard = SyncClient(settings=settings)
    yard.open()
    handle = yard.submit("nobody answers")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(handle.result)
        yard.close()
        with pytest.raises(ClientClosedError):
            waiting.result(timeout=30)
    with pytest.raises(ClientClosedError):
        handle.result()
    with pytest.raises(ClientClosedError):
        yard.workers()
    yard.close()


def test_a_closed_client_can_be_opened_again(settings: YardSettings) -> None:
    yard = SyncClient(settings=settings)
    for _ in range(2):
        with yard:
            assert yard.workers() == []


def test_no_server_leaves_no_thread_behind() -> None:
    before = threading.enumerate()
    with pytest.raises(BusUnavailableError):
        SyncClient("nats://127.0.0.1:1").open()
    assert not set(threading.enumerate()) - {*before}


SUB_APIS = sorted(
    name
    for name, _ in inspect.getmembers(Client, lambda member: isinstance(member, property))
    if not name.startswith("_")
)


def verbs(of: type) -> dict[str, list[tuple[str, object, object]]]:
    """Public calls, and what each takes: names, kinds and defaults."""
    found = inspect.getmembers(of, inspect.isfunction)
    public = {name: call for name, call in found if not name.startswith("_") or name == "__call__"}
    return {
        name: [(one.name, one.kind, one.default) for one in inspect.signature(call).parameters.values()]
        for name, call in public.items()
    }


@pytest.mark.parametrize(("sync", "plain"), [(SyncClient, Client), (SyncJobHandle, JobHandle)])
def test_every_verb_has_its_twin_with_the_same_arguments(sync: type, plain: type) -> None:
    assert verbs(sync) == verbs(plain)


@pytest.mark.parametrize("name", SUB_APIS)
async def test_every_verb_of_every_part_has_its_twin_with_the_same_arguments(
    name: str, settings: YardSettings
) -> None:
    plain: type[object] = getattr(Client(settings=settings), name).__class__
    sync: type[object] = SyncSchedules
    if name != "schedules":  # which asks for its thread at once
        sync = getattr(SyncClient(settings=settings), name).__class__
    assert verbs(sync) == verbs(plain)


def test_both_clients_have_the_same_parts() -> None:
    assert SUB_APIS == [
        "adapters",
        "aliases",
        "control",
        "dead",
        "jobs",
        "keys",
        "limits",
        "models",
        "rules",
        "schedules",
        "strikes",
        "tenants",
    ]
    assert all(isinstance(getattr(SyncClient, name), property) for name in SUB_APIS)
