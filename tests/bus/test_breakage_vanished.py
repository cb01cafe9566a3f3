"""An adapter folder that is gone while its record is still there."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult
from lorayard_workers.tiny_model import make_tiny_adapter

NAME = "acme/tiny/a"


class Process(Protocol):
    """A worker that runs."""

    async def stop(self) -> None:
        """Stop it as SIGTERM does."""


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    async def dispatcher(self, name: str = ..., **given: object) -> object: ...

    async def worker(self, name: str, **given: object) -> Process: ...

    async def publish(self, body: Job, *, adapter: str) -> int: ...

    async def result(self, job: str) -> JobResult: ...


async def test_every_job_of_an_adapter_that_all_workers_lack_is_answered(yard: Yard, tmp_path: Path) -> None:
    """The first job is refused by the workers; the second is never offered to them again."""
    make_tiny_adapter(tmp_path / NAME / "1", seed=1, rank=1)
    await yard.dispatcher()
    had = await yard.worker("had", adapters_dir=tmp_path)
    await had.stop()
    await yard.worker("lacks")
    for number in range(2):
        await yard.publish(Job(id=f"j{number}", prompt="x"), adapter=NAME)
        error = (await yard.result(f"j{number}")).error
        assert error is not None
        assert error.code == "adapter_unavailable"
