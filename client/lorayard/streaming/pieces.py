"""The text of a job as it comes, without the events around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from lorayard.errors import StreamRestartedError
from lorayard_schemas.token_event import EventKind

if TYPE_CHECKING:
    from lorayard.handle import JobHandle


async def pieces(handle: JobHandle, timeout_seconds: float | None) -> AsyncGenerator[str]:
    """Pieces that together are the answer; raises as `JobHandle.text_stream` does."""
    given = _Given()
    async with aclosing(handle.events(timeout_seconds=timeout_seconds)) as events:
        async for event in events:
            if event.kind is EventKind.RESTARTED:
                given.begin_again()
            elif piece := given.piece(handle.id, event.text):
                yield piece
    await handle.result()
    given.check_end(handle.id)


class _Given:
    """What a caller has, and what the run that counts has written."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._anew: str | None = None
        """What another run has written that began after something was given out; None: there is none."""

    def begin_again(self) -> None:
        """What was given out is right only as far as the new run writes the same."""
        if self._parts:
            self._anew = ""

    def piece(self, job_id: str, text: str) -> str:
        """What of a text is to be given out.

        Raises:
            StreamRestartedError: it goes on from something else than what was.
        """
        if not text or self._anew is None:
            self._parts += [text] if text else []
            return text
        given = "".join(self._parts)
        self._anew += text
        if given.startswith(self._anew):
            return ""
        if not self._anew.startswith(given):
            raise StreamRestartedError(job_id=job_id, text=given)
        rest, self._parts, self._anew = self._anew[len(given) :], [self._anew], None
        return rest

    def check_end(self, job_id: str) -> None:
        """Once the job has succeeded.

        Raises:
            StreamRestartedError: the answer is shorter than what was given out.
        """
        given = "".join(self._parts) if self._anew is not None else ""
        if self._anew is not None and self._anew != given:
            raise StreamRestartedError(job_id=job_id, text=given)
