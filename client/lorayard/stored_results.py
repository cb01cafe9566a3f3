"""Read stored results straight from their stream: one by one, or hundreds in one request."""

from __future__ import annotations

from collections.abc import Sequence

import nats.errors
import nats.js.errors

from lorayard.errors import YardNotReadyError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.last_messages import last_messages


class StoredResults:
    """The results of one tenant as they lie in the stream, undecoded."""

    def __init__(self, bus: Bus, tenant: str) -> None:
        self._bus = bus
        self._stream = bus.subjects.stream("results")
        self._subject = bus.subjects.result(tenant, "")

    async def get(self, job_id: str) -> bytes | None:
        """A result; None if there is none.

        Raises:
            YardNotReadyError: there is no stream of results.
            nats.errors.Error: no answer.
        """
        try:
            found = await self._bus.js.get_msg(self._stream, subject=self._subject + job_id, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        except nats.errors.NoRespondersError as error:
            raise self._not_ready() from error
        return found.data or b""

    async def get_many(self, job_ids: Sequence[str]) -> dict[str, bytes]:
        """What is stored of these, by id.

        Raises:
            YardNotReadyError: there is no stream of results.
            nats.errors.Error: no answer.
        """
        try:
            found = await last_messages(self._bus, self._stream, [self._subject + one for one in job_ids])
        except nats.errors.NoRespondersError as error:
            raise self._not_ready() from error
        return {subject[len(self._subject) :]: body for subject, body in found.items()}

    def _not_ready(self) -> YardNotReadyError:
        return YardNotReadyError(prefix=self._bus.subjects.prefix, missing=f"stream {self._stream}")
