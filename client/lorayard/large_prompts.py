"""Prompts too long for a message: kept beside the jobs, once for all jobs that are submitted with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors

from lorayard.errors import BusUnavailableError, PayloadTooLargeError, YardNotReadyError
from lorayard.job_ids import random_job_id
from lorayard.publisher import refusal_error
from lorayard_schemas.job import Job, PayloadRef, excerpt
from lorayard_shared.bus.payloads import MAX_BYTES

if TYPE_CHECKING:
    from lorayard.link import Link


class LargePrompts:
    """Of jobs that go out together.

    It knows the last one only: choices of one prompt follow each other. Keys are made anew for each set of
    jobs: a submit with the same idempotency key and another prompt must not touch what was kept before, and
    what is kept goes by age.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._last: tuple[str, PayloadRef] | None = None

    async def by_reference(self, job: Job, prompt: str) -> Job:
        """The job with a reference in place of its prompt.

        Raises:
            PayloadTooLargeError: no prompt may be that long.
            YardNotReadyError, YardFullError, BusRefusedError, BusUnavailableError: it is not kept.
        """
        if self._last is None or self._last[0] != prompt:
            self._last = (prompt, await self._kept(prompt))
        return job.model_copy(update={"prompt": None, "prompt_ref": self._last[1]})

    async def _kept(self, prompt: str) -> PayloadRef:
        size = len(prompt.encode())
        if size > MAX_BYTES:
            raise PayloadTooLargeError(field="prompt", size_bytes=size, limit_bytes=MAX_BYTES)
        try:
            ref = await self._link.payloads.put(f"prompt-{random_job_id()}", prompt)
        except (nats.js.errors.BucketNotFoundError, nats.js.errors.NoStreamResponseError) as error:
            subjects = self._link.bus.subjects
            bucket = subjects.bucket("payloads")
            raise YardNotReadyError(prefix=subjects.prefix, missing=f"bucket {bucket}") from error
        except nats.js.errors.APIError as error:
            raise refusal_error(error.err_code or 0, error.description or "") from error
        except nats.errors.Error as error:
            raise BusUnavailableError(url=self._link.settings.url, reason=str(error)) from error
        return ref.model_copy(update={"excerpt": excerpt(prompt)})
