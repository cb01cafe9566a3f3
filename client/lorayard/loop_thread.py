"""The event loop behind a client for code without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

from lorayard.errors import ClientClosedError

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._ready = threading.Event()
        # A daemon: a program that forgets to close its client still ends.
        self._thread = threading.Thread(target=self._run, name="lorayard-client", daemon=True)
        self._thread.start()
        self._ready.wait()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it; whatever ends the wait ends the coroutine too."""
        with self._lock:  # a call that comes in before the stop is ended by it, never left behind
            if self._stopped:
                work.close()
                raise ClientClosedError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise ClientClosedError from error
        except BaseException:  # KeyboardInterrupt too
            future.cancel()
            raise

    def iterate(self, source: AsyncGenerator[T]) -> Iterator[T]:
        """What it gives, one after the other; closed when the caller stops."""
        try:
            while (more := self.call(_next(source))) is not None:
                yield more[0]
        finally:
            with suppress(ClientClosedError):
                self.call(source.aclose())

    def stop(self) -> None:
        """End the loop and every call that is in it."""
        with self._lock:
            self._stopped = True
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._main())  # it cancels what is left when the main part ends

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()


async def _next(source: AsyncGenerator[T]) -> tuple[T] | None:
    """None: there is no more. A `StopAsyncIteration` would not come through a future."""
    async for one in source:
        return (one,)
    return None
