"""Documents through a yard: nothing lost, nothing twice, and only what changed is asked anew (E6)."""

from __future__ import annotations

import asyncio
import itertools
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard
from tests.bus.summarize.conftest import Summarizer

from lorayard import CancelQuery, InvalidRequestError, JobFailedError
from lorayard.summarize.cache import Cache
from lorayard.summarize.prompt_set import PromptSet
from lorayard.summarize.splitter import split
from lorayard.summarize.styles import Style

pytestmark = pytest.mark.bus

Write = Callable[..., Path]


async def serving(yard: Yard, **given: object) -> None:
    await yard.dispatcher()
    await yard.worker(**given)  # type: ignore[arg-type]  # settings of the test's choice


async def test_a_long_document_is_read_to_its_last_word__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard)
    text = " ".join(f"word{number}" for number in range(3_000))
    found = await summarizer.run(write(long=text, short="Just this."), chunk_tokens=64, words=10)
    assert found["short.txt"].summary == "Just this."
    assert found["long.txt"].chunks > 100
    # An echo combines by repeating: all words are there, each once and in order.
    assert (found["long.txt"].summary or "").split() == text.split()


async def test_a_second_run_does_only_what_has_changed__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard)
    folder = write(a="First.", b="Second.")
    await summarizer.run(folder)
    assert (summarizer.last.kept, summarizer.last.answered) == (0, 2)
    found = await summarizer.run(write(b="Changed."))
    assert (summarizer.last.kept, summarizer.last.answered) == (1, 1)
    assert {name: record.summary for name, record in found.items()} == {
        "a.txt": "First.",
        "b.txt": "Changed.",
    }
    await summarizer.run(folder, words=77)
    assert summarizer.last.kept == 0


async def test_another_prompt_or_length_is_asked_anew_and_the_same_text_is_not__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard)
    folder = write(a="The same.", b="The same.")
    found = await summarizer.run(folder)
    assert summarizer.last.answered == 1
    assert found["a.txt"].summary == found["b.txt"].summary
    other = PromptSet(whole="About {text}", part="{text}", combine="{text}")
    found = await summarizer.run(folder, prompts=other)
    assert found["a.txt"].summary == "About The same."


async def test_a_new_version_of_the_adapter_is_asked_anew__e6(
    yard: Yard, summarizer: Summarizer, write: Write, adapters: Path
) -> None:
    from lorayard_workers.tiny_model import make_tiny_adapter

    await serving(yard, adapters_dir=adapters)
    folder = write(a="Text.")
    first = await summarizer.run(folder, adapter=ADAPTER)
    await summarizer.run(folder, adapter=ADAPTER)
    assert summarizer.last.kept == 1
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))

    async def answers() -> bool:
        return (await summarizer.client.generate("Who?", adapter=ADAPTER)).version == "2"

    await yard.wait_until(answers)  # so the dispatcher has heard of it too
    again = await summarizer.run(folder, adapter=ADAPTER)
    assert summarizer.last.kept == 0
    assert (first["a.txt"].version, again["a.txt"].version) == ("1", "2")


async def test_an_alias_that_moves_is_asked_anew_by_whatever_name__e6(
    yard: Yard, summarizer: Summarizer, write: Write, adapters: Path
) -> None:
    """A plain name follows `stable`, and both versions stay active all the while."""
    from lorayard_workers.tiny_model import make_tiny_adapter

    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    await serving(yard, adapters_dir=adapters)
    folder, aliases = write(a="Text."), summarizer.client.aliases
    for name in (ADAPTER, f"{ADAPTER}@stable"):
        for version in ("1", "2"):
            await aliases.split(f"{ADAPTER}@stable", {version: 100}, preload_seconds=None)

            async def answers(version: str = version) -> bool:
                probe = await summarizer.client.generate("Who?", adapter=ADAPTER)
                return probe.version == version

            await yard.wait_until(answers)
            found = await summarizer.run(folder, adapter=name)
            assert (found["a.txt"].version, summarizer.last.kept) == (version, 0)


async def test_what_another_version_answered_is_not_kept_under_the_old_one__e6(
    yard: Yard, summarizer: Summarizer, write: Write, adapters: Path
) -> None:
    """The alias is moved while a run is under way."""
    from lorayard_workers.tiny_model import make_tiny_adapter

    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))
    dispatcher = await yard.dispatcher()
    folder, client, stable = write(a="Text."), summarizer.client, f"{ADAPTER}@stable"
    await yard.worker(adapters_dir=adapters)
    await client.aliases.split(stable, {"1": 100}, preload_seconds=None)
    await dispatcher.stop()
    running = asyncio.create_task(summarizer.run(folder, adapter=stable))

    async def submitted() -> bool:
        return await yard.left() == 1

    await yard.wait_until(submitted)
    await client.aliases.split(stable, {"2": 100}, preload_seconds=None)
    await yard.dispatcher("d2")
    assert (await running)["a.txt"].version == "2"
    await client.aliases.split(stable, {"1": 100}, preload_seconds=None)
    await summarizer.run(folder, adapter=stable)
    assert summarizer.last.kept == 0


async def test_a_name_with_foreign_bytes_may_stand_in_a_prompt__g3(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard)
    folder = write()
    (folder / os.fsdecode(b"\xff.txt")).write_text("Text.", encoding="utf-8")
    prompts = PromptSet(whole="{title}: {text}", part="{text}", combine="{text}")
    found = await summarizer.run(folder, prompts=prompts)
    assert [record.summary for record in found.values()] == ["\ufffd.txt: Text."]


async def test_a_line_is_one_line__e6(yard: Yard, summarizer: Summarizer, write: Write) -> None:
    await serving(yard)
    text = "One\n two."
    assert (await summarizer.run(write(a=text)))["a.txt"].summary == text
    assert (await summarizer.run(write(a=text), style=Style.LINE))["a.txt"].summary == "One two."


async def test_what_is_torn_stops_nothing__g3(yard: Yard, summarizer: Summarizer, write: Write) -> None:
    await serving(yard)
    folder = write(good="Good.", empty="")
    (folder / "bad.pdf").write_bytes(b"%PDF-nothing")
    (folder / "locked.txt").symlink_to(folder / "gone")
    found = await summarizer.run(folder, folder / "nowhere.md")
    assert found.pop("good.txt").summary == "Good."
    assert {name: (record.error or {})["code"] for name, record in found.items()} == dict.fromkeys(
        ("empty.txt", "bad.pdf", "locked.txt", "nowhere.md"), "unreadable"
    )
    assert (summarizer.last.done, summarizer.last.unreadable, summarizer.last.failed) == (5, 4, 0)


async def test_an_adapter_that_nobody_has_ends_the_run__g3(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard)
    with pytest.raises(JobFailedError, match="acme/tiny/nobody"):
        await summarizer.run(write(a="Text."), adapter="acme/tiny/nobody")
    with pytest.raises(InvalidRequestError, match="adapter"):
        await summarizer.run(write(a="Text."), adapter="not an adapter")


async def test_a_record_that_cannot_be_had_lists_its_document__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    """An echo keeps to no schema."""
    await serving(yard)
    found = await summarizer.run(
        write(a="No JSON.", b='{"title": "T", "summary": "S", "key_points": ["k"]}'), structured=True
    )
    assert (found["b.txt"].title, found["b.txt"].key_points) == ("T", ("k",))
    assert (found["a.txt"].error or {})["code"] == "bad_answer"
    assert (summarizer.last.failed, summarizer.last.retried) == (1, 3)
    # What failed has new jobs the next time, not the old answers.
    await summarizer.run(write(), structured=True)
    assert (summarizer.last.failed, summarizer.last.retried, summarizer.last.kept) == (1, 3, 1)


async def test_a_poor_record_is_used_without_what_says_nothing__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard)
    record = '{"title": "a.txt", "summary": "It says so.", "key_points": ["title", "A point.", "a point"]}'
    found = (await summarizer.run(write(a=record), structured=True))["a.txt"]
    assert (found.error, found.summary, found.key_points) == (None, "It says so.", ("A point.",))
    assert summarizer.last.retried == 0
    await summarizer.run(write(), structured=True, in_flight=7)
    assert (summarizer.last.kept, summarizer.last.retried) == (1, 0)


@pytest.mark.timeout(60)
async def test_a_job_that_is_gone_with_its_result_is_asked_again__g1(
    yard: Yard, summarizer: Summarizer, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when this side slept for longer than results are kept."""
    monkeypatch.setattr("lorayard.batch.lost.FIRST_LOOK_SECONDS", 0.2)
    stream = yard.bus.subjects.stream("jobs")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "duplicate_window": 10**8})
    running = asyncio.create_task(summarizer.run(write(a="Text.")))

    async def queued() -> bool:
        return await yard.left() == 1

    await yard.wait_until(queued)
    await yard.bus.api(f"STREAM.PURGE.{stream}")
    await serving(yard)
    assert (await running)["a.txt"].summary == "Text."


async def test_a_run_that_is_cut_short_loses_only_what_was_in_flight__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    await serving(yard, echo_delay_seconds=0.05, rows=2)
    folder = write(**{f"d{number}": f"Document {number}." for number in range(30)})
    run = asyncio.create_task(summarizer.run(folder, in_flight=4))
    await yard.wait_until(lambda: bool(summarizer.tallies) and summarizer.last.chunks_done >= 8)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    done = summarizer.last.chunks_done
    found = await summarizer.run(folder, in_flight=4)
    assert len(found) == 30
    assert all(record.error is None for record in found.values())
    assert summarizer.last.kept >= done - 4

    async def run_jobs() -> bool:
        return (await yard.advert()).counters.jobs_succeeded >= 30

    await yard.wait_until(run_jobs)
    assert (await yard.advert()).counters.jobs_succeeded == 30


async def test_a_job_that_was_cancelled_in_an_earlier_run_is_asked_anew__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    folder = write(a="Text.")
    await yard.dispatcher()
    run = asyncio.create_task(summarizer.run(folder))

    async def queued() -> bool:
        return (await summarizer.client.queue_depth()).total == 1

    await yard.wait_until(queued)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await summarizer.client.cancel_where(CancelQuery(lane="bulk"))
    await yard.worker()
    found = await summarizer.run(folder)
    assert found["a.txt"].error is None


async def test_a_job_that_still_waits_is_found_again_and_not_submitted_anew__e6(
    yard: Yard, summarizer: Summarizer, write: Write
) -> None:
    """The bus forgets the name of a job after two minutes, long before a night's queue is done."""
    folder = write(a="Text.")
    await yard.dispatcher()
    run = asyncio.create_task(summarizer.run(folder))

    async def remembered() -> bool:
        with Cache(summarizer.folder) as cache:
            name = [row[0] for row in cache._file.execute("SELECT key FROM jobs")]  # pyright: ignore[reportPrivateUsage]  # what a run has written
            return bool(name) and (await summarizer.client.queue_depth()).total == 1

    await yard.wait_until(remembered)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    stream = yard.bus.subjects.stream("jobs")
    config = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {**config, "duplicate_window": 100_000_000})
    await asyncio.sleep(0.3)  # the server forgets names by its clock
    again = asyncio.create_task(summarizer.run(folder))
    await yard.wait_until(lambda: len(summarizer.tallies) == 2 and summarizer.last.chunks == 1)
    await yard.worker()
    assert (await again)["a.txt"].error is None
    assert int((await yard.bus.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"]) == 1


@pytest.mark.timeout(120)
async def test_a_bus_that_goes_and_comes_back_ends_no_run__g2(
    own_yard: Yard, own_server: RunningServer, own_summarizer: Summarizer, write: Write
) -> None:
    await serving(own_yard, echo_delay_seconds=0.05, rows=2)
    folder = write(**{f"d{number}": f"Document {number}." for number in range(30)})
    run = asyncio.create_task(own_summarizer.run(folder, in_flight=4))
    done = own_yard.wait_until
    await done(lambda: bool(own_summarizer.tallies) and own_summarizer.last.chunks_done >= 6)
    own_server.kill()
    await done(lambda: not own_yard.bus.connected)
    own_server.start()
    found = await run
    assert len(found) == 30
    assert all(record.error is None for record in found.values())


async def test_a_text_of_any_size_takes_the_memory_of_a_few_chunks__e6() -> None:
    from lorayard.summarize.counting import EstimatedTokens

    def blocks() -> Iterator[str]:
        block = "A sentence of several words. " * 9_000
        yield from itertools.repeat(block, 200)  # 52 MB

    tracemalloc.start()
    try:
        total = sum(len(chunk.text) for chunk in split(blocks(), EstimatedTokens(), 20_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 200 * 9_000 * 29
    assert peak < 8 * 2**20
