"""A worker that writes what a test says, and a reader of what is heard of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from tests.bus.conftest import Yard

from lorayard import Client, EventKind, JobEvent, JobHandle
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.outcome import (
    Cancelled,
    FinishReason,
    Outcome,
    Succeeded,
    Tier,
    Timings,
    TokenChunk,
)
from lorayard_workers.engine.protocol import OnTokens, Sink
from lorayard_workers.engine.request import GenerationRequest


class Writing(EchoEngine):
    """An engine that writes what a test says, when it says so; requests are known by their prompts."""

    def __init__(self) -> None:
        super().__init__()
        self.died = False
        self._asked: dict[str, _Asked] = {}

    def __contains__(self, prompt: str) -> bool:
        return prompt in self._asked

    def alive(self) -> bool:
        return not self.died and super().alive()

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        self._asked[str(request.prompt)] = _Asked(request, sink, on_tokens)

    def cancel(self, request_id: str) -> None:
        for prompt, asked in list(self._asked.items()):
            if asked.request.request_id == request_id:
                del self._asked[prompt]
                asked.sink(Cancelled(request_id=request_id))

    def streams(self, prompt: str) -> bool:
        return self._asked[prompt].on_tokens is not None

    def key(self, prompt: str) -> str:
        return self._asked[prompt].request.request_id

    def read(self, prompt: str, tokens: int, *, of: int) -> None:
        """Take in a part of the prompt."""
        self._asked[prompt].tell((), prompt_done=tokens, prompt_tokens=of)

    def say(self, prompt: str, text: str) -> None:
        """Write some text, a token for each character."""
        asked = self._asked[prompt]
        asked.text += text
        asked.tell(tuple(map(ord, text)), text)

    def end(self, prompt: str, outcome: Outcome | None = None) -> None:
        """Answer, with what was written unless given."""
        asked = self._asked.pop(prompt)
        asked.sink(outcome or asked.succeeded())


@dataclass
class _Asked:
    request: GenerationRequest
    sink: Sink
    on_tokens: OnTokens | None
    text: str = ""
    chunks: int = 0

    def tell(
        self, tokens: tuple[int, ...], text: str = "", *, prompt_done: int = 0, prompt_tokens: int = 0
    ) -> None:
        if self.on_tokens is None:
            return
        chunk = TokenChunk(
            request_id=self.request.request_id,
            index=self.chunks,
            token_ids=tokens,
            text=text,
            prompt_done=prompt_done,
            prompt_tokens=prompt_tokens,
        )
        self.chunks += 1
        self.on_tokens(chunk)

    def succeeded(self) -> Succeeded:
        return Succeeded(
            request_id=self.request.request_id,
            text=self.text,
            finish_reason=FinishReason.STOP,
            prompt_tokens=1,
            completion_tokens=len(self.text),
            tier=Tier.NONE,
            timings=Timings(),
        )


class Reader:
    """Reads a job's events in a task, as a service would."""

    def __init__(self, handle: JobHandle, *, after: int = 0) -> None:
        self.heard: list[JobEvent] = []
        self._task = asyncio.create_task(self._read(handle, after))

    async def _read(self, handle: JobHandle, after: int) -> None:
        async for event in handle.events(after=after):
            self.heard.append(event)

    @property
    def text(self) -> str:
        text = ""
        for event in self.heard:
            text = "" if event.kind is EventKind.RESTARTED else text + event.text
        return text

    @property
    def kinds(self) -> list[EventKind]:
        """Without those that only say more of the same."""
        kinds = [event.kind for event in self.heard]
        return [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] is not kind]

    async def end(self) -> None:
        await self._task

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


async def told(
    client: Client, writing: Writing, wait_until: Callable[..., Awaitable[None]], *words: str
) -> tuple[JobHandle, Reader]:
    """A job `tell` of which these words have been written one by one, each heard before the next."""
    handle = await client.submit("tell", stream=True)
    reader = Reader(handle)
    await wait_until(lambda: "tell" in writing)
    for word in words:
        writing.say("tell", word)
        await wait_until(lambda: reader.text.endswith(word))  # noqa: B023  # it is waited for here
    return handle, reader


@pytest.fixture
async def writing(yard: Yard) -> Writing:
    """A yard whose one worker writes what the test says."""
    writing = Writing()
    await yard.dispatcher()
    await yard.worker(engine=writing)
    return writing


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client
