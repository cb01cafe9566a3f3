"""Wait for a job's outcome, and notice when there will be none.

A result is kept for `LORAYARD_RESULT_TTL_SECONDS`. When a runner slept for longer, as on a laptop, or its
yard was put back to an older state, a job may be gone without a trace: nobody would ever tell of it.
"""

from __future__ import annotations

import asyncio

from lorayard.errors import LorayardError
from lorayard.handle import JobHandle
from lorayard.job_status import JobPlace
from lorayard.result import Result

FIRST_LOOK_SECONDS = 300.0
"""Behind a long queue most lines wait longer, and each look costs some requests: so looks become rarer.
Longer than the bus knows a key (two minutes): what is lost can be sent again under the same one."""

LAST_LOOK_SECONDS = 3600.0


class JobLostError(LorayardError):
    """The yard knows neither the job nor its result."""

    def __init__(self, *, job_id: str) -> None:
        super().__init__(f"job {job_id} and its result are gone from the yard; its line is asked again")
        self.job_id = job_id


async def outcome_or_lost(handle: JobHandle) -> Result:
    """How the job ended.

    Raises:
        JobLostError: nobody will ever tell.
        LorayardError: as `JobHandle.outcome`.
    """
    seconds = FIRST_LOOK_SECONDS
    while True:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await handle.outcome()
        except TimeoutError:
            if not limit.expired():
                raise
        seconds = min(2 * seconds, LAST_LOOK_SECONDS)
        # Twice: between two streams a job may have been met in neither.
        if await _is_unknown(handle) and await _is_unknown(handle):
            raise JobLostError(job_id=handle.id)


async def _is_unknown(handle: JobHandle) -> bool:
    try:
        return (await handle.status()).place is JobPlace.UNKNOWN and not await handle.done()
    except LorayardError:
        return False  # whoever is away now says so to the next wait
