"""One question to the yard: answered from what is kept, else by a job that an earlier run may have begun."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from lorayard.batch.lost import JobLostError, outcome_or_lost
from lorayard.client import Client
from lorayard.errors import (
    BusUnavailableError,
    InvalidRequestError,
    JobFailedError,
    SubmitUnconfirmedError,
)
from lorayard.handle import JobHandle
from lorayard.job_status import JobPlace
from lorayard.request import LaneName, RequestOptions, TemplateName
from lorayard.result import Result
from lorayard.summarize.cache import Cache
from lorayard.summarize.errors import DocumentError
from lorayard.summarize.identity import has_moved, key_of
from lorayard.summarize.structure import PoorAnswerError
from lorayard.summarize.tally import Tally
from lorayard.summarize.wording import UnusableAnswerError, without_loop
from lorayard_schemas.result import ResultState

ROOM_SECONDS: Final = 7 * 86_400.0
"""A full yard is waited for: batches run overnight, and may wait for a week-end's."""

AWAY_SECONDS: Final = 600.0
"""A bus that restarts, or a machine that is moved, ends no run of a night."""
AGAIN_SECONDS: Final = 1.0

RETRY_TEMPERATURE: Final = 0.7
"""Of an answer that could not be used, the likeliest tokens are known; others may do."""
RETRY_PENALTY: Final = 1.2
"""Of words that were said: most answers that cannot be used go round in a circle."""

UNKNOWN_ADAPTER: Final = "unknown_adapter"
"""No other document would fare better: it ends the run."""

TOO_LONG: Final = "prompt_too_long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and of whom."""

    prompt: str
    adapter: str | None
    identity: tuple[str, ...]
    template: TemplateName
    max_new_tokens: int
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, and from whom."""

    text: str
    adapter: str | None
    version: str | None
    digest: str | None
    base_digest: str | None
    prompt_tokens: int
    completion_tokens: int


Check = Callable[[str], object]
"""Raises UnusableAnswerError; a PoorAnswerError where the answer would do if none is better."""


class Asker:
    """Asks with a bounded number of jobs under way."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        tally: Tally,
        *,
        base_digests: tuple[str, ...],
        in_flight: int,
        lane: LaneName,
        attempts: int,
    ) -> None:
        self._client, self._cache, self._tally = client, cache, tally
        self._base = base_digests
        self._window = asyncio.Semaphore(in_flight)
        self._lane: LaneName = lane
        self._attempts = attempts
        self._asking: dict[str, asyncio.Future[Answer]] = {}

    async def ask(self, question: Question, check: Check) -> Answer:
        """The answer that `check` takes, after as many attempts as there may be.

        Two who ask the same at the same time get the same answer.

        Raises:
            DocumentError: there is none.
            JobFailedError: nobody has the adapter.
            LorayardError: the yard is away, or takes no jobs.
        """
        key = key_of({**asdict(question), "base": self._base})
        self._tally.chunks += 1
        while (other := self._asking.get(key)) is not None:
            await asyncio.wait([other])
        mine = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._answer(key, question, check)
        finally:
            del self._asking[key]
            mine.cancel()
        self._tally.chunks_done += 1
        return answer

    async def _answer(self, key: str, question: Question, check: Check) -> Answer:
        kept = await self._cache.answer(key)
        if kept is not None and (answer := _usable(kept, check)) is not None:
            self._tally.chunks_kept += 1
            return answer
        async with self._window:
            answer = await self._attempt(key, question, check)
        # Whoever asks under the old meaning of an alias wants another answer.
        if not has_moved(question.adapter, question.identity, answer.adapter, answer.digest):
            await self._cache.keep_answer(key, json.dumps(asdict(answer), ensure_ascii=True))
        return answer

    async def _attempt(self, key: str, question: Question, check: Check) -> Answer:
        failed, drawn = await self._cache.failures(key), await self._cache.failures(f"{key}-drawn")
        problem: Exception = DocumentError("it was not asked about", code="bad_answer")
        poor: Answer | None = None
        for _ in range(self._attempts):
            # The same name finds the job of a run that was cut short; one that has failed is no use.
            result, existing = await self._outcome(f"summarize-{key}-{failed}-{drawn}", question, drawn)
            if not existing:
                self._count(result)
            if not result.succeeded:
                failed += 1
                await self._cache.count_failure(key)
                problem = _failure(result)
                if not existing:
                    break
                continue  # what became of an earlier run's job says nothing of the next one
            cut = result.finish_reason == "length"
            text = without_loop(result.text) if cut and question.json_schema is None else result.text
            answer = replace(_answer_of(result), text=text)
            try:
                check(text)
                if text == result.text:
                    return answer
                raise PoorAnswerError("it says the same over and over")
            except UnusableAnswerError as error:
                if isinstance(error, PoorAnswerError):
                    if question.json_schema is not None:
                        return answer  # drawn records of small models are well-formed, and made up
                    # Drawn anew; where that gives nothing better, the first that can be used is the answer.
                    poor = poor or answer
                drawn += 1
                await self._cache.count_failure(f"{key}-drawn")
                self._tally.retried += 1
                reason = f"no usable answer in {self._attempts} attempts: {error}"
                problem = DocumentError(reason, code="bad_answer")
        if poor is None:
            raise problem
        return poor

    async def _outcome(self, name: str, question: Question, drawn: int) -> tuple[Result, bool]:
        """How the job of this name ended, and whether the yard had it before."""
        while True:
            handle = await self._handle(name, question, drawn)
            try:
                return await outcome_or_lost(handle), handle.existing
            except JobLostError:
                continue  # nobody will ever tell of it: it is submitted anew

    async def _handle(self, name: str, question: Question, drawn: int) -> JobHandle:
        """The job of this name; a bus that is away is waited for."""
        patient_until = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return await self._found(name) or await self._submit(name, question, drawn)
            except (BusUnavailableError, SubmitUnconfirmedError):
                if time.monotonic() > patient_until:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)  # by its key the job is one, however often it is sent

    async def _found(self, name: str) -> JobHandle | None:
        """The job of an earlier run, where the yard still has it. The bus itself knows a name for two minutes
        only, and then would run a job that waits for longer a second time."""
        job_id = await self._cache.job(name)
        if job_id is None:
            return None
        handle = self._client.handle(job_id)
        return None if (await handle.status()).place is JobPlace.UNKNOWN else handle

    async def _submit(self, idempotency_key: str, question: Question, drawn: int) -> JobHandle:
        options: RequestOptions = {
            "adapter": question.adapter,
            "template": question.template,
            "json_schema": question.json_schema,
            # An answer that was cut short may need more room.
            "max_new_tokens": question.max_new_tokens * (2 if drawn else 1),
            "lane": self._lane,
            "idempotency_key": idempotency_key,
        }
        if drawn:
            options |= {
                "temperature": RETRY_TEMPERATURE,
                "repetition_penalty": RETRY_PENALTY,
                "seed": drawn,
            }
        try:
            handle = await self._client.submit(question.prompt, wait_for_room_seconds=ROOM_SECONDS, **options)
        except InvalidRequestError as error:
            if error.field not in ("prompt", "request"):
                raise  # wrong for every document: an adapter's name, a number
            raise DocumentError(str(error), code="bad_input") from error
        await self._cache.keep_job(idempotency_key, handle.id)
        return handle

    def _count(self, result: Result) -> None:
        self._tally.answered += 1
        self._tally.slot_hits += result.tier in ("slot", "none")
        self._tally.prompt_tokens += result.usage.prompt_tokens
        self._tally.completion_tokens += result.usage.completion_tokens


def _usable(kept: str, check: Check) -> Answer | None:
    """What an earlier run has kept, which may have asked less of it."""
    answer = Answer(**json.loads(kept))
    try:
        check(answer.text)
    except PoorAnswerError:
        return answer  # there was none better
    except UnusableAnswerError:
        return None
    return answer


def _answer_of(result: Result) -> Answer:
    return Answer(
        text=result.text,
        adapter=result.adapter,
        version=result.version,
        digest=result.digest,
        base_digest=result.base_digest,
        prompt_tokens=result.usage.prompt_tokens,
        completion_tokens=result.usage.completion_tokens,
    )


def _failure(result: Result) -> Exception:
    code = result.error.code if result.error is not None else result.state.value
    if code == UNKNOWN_ADAPTER and result.state is ResultState.FAILED:
        return JobFailedError(result=result)
    reason = result.error.message if result.error is not None else f"its job was {result.state.value}"
    return DocumentError(f"job {result.job_id}: {reason}", code=code)
