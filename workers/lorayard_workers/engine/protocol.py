"""The contract between a worker's service and whatever generates text.

An engine owns its threads. Every method may be called from any thread and returns without waiting for
model work; outcomes come back through the sink that was given with the request, on a thread of the
engine's choosing. So the event loop of the service never blocks.

What goes in stands in `request`, what comes out in `outcome`, what it shows of itself in `residency`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lorayard_workers.engine.outcome import Outcome, TokenChunk
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.engine.residency import Residency
from lorayard_workers.pulse import Pulse

Sink = Callable[[Outcome], None]
OnTokens = Callable[[TokenChunk], None]


class Engine(Protocol):
    """Generates text for rows of many adapters at once."""

    @property
    def base_digest(self) -> str:
        """Content digest of the base model (`sha256:...`)."""
        ...

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion."""
        ...

    def start(self) -> None:
        """Start the engine's threads. Call once."""
        ...

    def stop(self, *, timeout_seconds: float = 5.0) -> None:
        """End the threads after the step in progress; requests not finished get no outcome.

        May be called from a sink or `on_tokens`: then it does not wait for the thread that it is on.
        """
        ...

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        """Queue a request; exactly one outcome reaches `sink` unless the engine is stopped.

        Whatever `sink` raises ends in the log: it is called on a thread that all requests share.

        `on_tokens` is called on the engine's thread after each step that gave the row tokens, or took in a
        part of its prompt (more seldom with `chunk_seconds`): never after its outcome, never once `cancel`
        was called. It must only hand over: one that raises, or takes a second in all, is called no more, and
        the log says so. The row goes on without it.
        """
        ...

    def cancel(self, request_id: str) -> None:
        """End a request between two steps; unknown ids are ignored."""
        ...

    def withdraw(self, request_id: str) -> None:
        """End a request if its row has not started, as retryable (`WITHDRAWN`); one that has runs on.

        Unknown ids are ignored.
        """
        ...

    def prefetch(self, digest: str) -> None:
        """Bring an adapter to host memory while rows decode; failures only show in the log."""
        ...

    def dedicate(self, digest: str | None) -> None:
        """Serve one adapter only, folded into the base weights; None: all of them again, as if never merged.

        Takes effect between two steps, after the rows that run have ended; `Residency.dedicated` shows it.
        From this call on requests for anything else fail as retryable (`worker_dedicated`), and after
        `dedicate(None)` none does: they wait. A merge that fails only shows in the log, and ends that.
        """
        ...

    def pin(self, digest: str) -> None:
        """Bring an adapter into a slot as soon as one can be freed, and keep it there.

        Raises CapacityError if so many pins leave no slot for others. A pin whose rank turns out too large
        beside the others, or that cannot be loaded, is dropped: the log says so, `Residency.pinned` lacks it.
        """
        ...

    def unpin(self, digest: str) -> None:
        """Let an adapter be evicted like any other; unknown ones are ignored."""
        ...

    def preload(self, digest: str) -> None:
        """Bring an adapter into a slot while rows decode, if free room and idle adapters make way for it.

        Else it stays in host memory. Failures only show in the log.
        """
        ...

    def unload(self, digest: str) -> None:
        """Unpin an adapter, and free its slot and host memory as soon as no row uses or awaits it."""
        ...

    def weigh(self, doublings: Mapping[str, float]) -> None:
        """Have adapters leave slots and host memory later, or sooner: by digest, doublings of what their uses
        count (+1: two for one), instead of those told before."""
        ...

    def residency(self) -> Residency:
        """What is held now; cheap enough to call for every advert."""
        ...

    def alive(self) -> bool:
        """Whether the engine's threads run, and not every step fails."""
        ...

    @property
    def pulses(self) -> tuple[Pulse, ...]:
        """Signs of progress of the threads that requests depend on: one that hangs shows there."""
        ...
