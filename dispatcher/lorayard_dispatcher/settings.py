"""Settings of a dispatcher process, on top of those of the yard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lorayard_dispatcher.planning.policy import Policy
from lorayard_shared.settings import YardSettings

Seconds = Annotated[float, Field(gt=0)]
Jobs = Annotated[int, Field(ge=1)] | None
Weight = Annotated[float, Field(gt=0, le=1e6)]


class DispatcherSettings(YardSettings):
    """What an operator may decide about dispatching."""

    name: str = ""
    """Unique among dispatchers; made up when empty."""
    wait_bound_seconds: tuple[Seconds, Seconds, Seconds, Seconds] = (4.0, 8.0, 15.0, 30.0)
    """Per lane, urgent first: a job that has waited longer goes before warm work."""
    overdue_share: float = Field(default=0.15, ge=0, le=1)
    """Of a worker's time that loads for overdue jobs may take."""
    quantum_tokens: float = Field(default=2000.0, ge=0)
    """How far a tenant may run ahead of the least served one that waits."""
    tenant_weights: dict[str, Weight] = Field(default_factory=dict)
    """Shares of tenants; 1 for everybody else. In the environment: JSON."""
    prefill_seconds_per_token: float = Field(default=0.001, ge=0, le=10)
    """To read a conversation anew: a turn of a session waits as long for the worker that has it in its cache.
    0: sessions keep their adapter only. That of a small model on a CPU; a GPU takes a tenth and less."""
    prewarm_copies: int = Field(default=3, ge=0, le=1000)
    """Workers that get an adapter into free host memory before a job needs it there, if it is asked for; one
    otherwise. 0: it is fetched for jobs that wait only."""
    early_reads: int = Field(default=2, ge=0, le=64)
    """Adapters on disk that a worker may be given jobs of at once; of others a copy is fetched first. 0: jobs
    wait for the copy wherever rows run."""
    max_interruptions: int = Field(default=3, ge=1, le=20)
    """A job whose workers died under it so often is answered as poison; before the last time it is run alone,
    so that what shares a batch with it is cleared."""
    max_deliveries: int = Field(default=500, ge=2)
    """The fuse behind that, by the server's count, which also rises while a job only waits."""
    shed_hopeless: bool = True
    """Whether a job that would surely wait beyond its deadline is told so when it comes."""
    lane_bounds: tuple[Jobs, Jobs, Jobs, Jobs] = (None, None, None, None)
    """Per lane, urgent first: where more jobs wait, lower lanes are refused, and then the lane itself."""
    infer_tiers: bool = True
    """Whether traffic alone may have an adapter merged into workers of its own."""
    semantic_samples: int = Field(default=0, ge=0, le=1000)
    """Embeddings kept of each adapter that jobs name themselves, for `lorayard routes train --traffic`; 0:
    none. No text is kept, but whoever has an embedding can guess what a prompt was about."""
    record_plans: Path | None = None
    """A file that gets everything the planner is told and answers, to be played again; None: nothing."""

    def policy(
        self,
        base_of: Mapping[str, str],
        columns_of: Mapping[str, int],
        bytes_of: Mapping[str, int],
        parts_of: Mapping[str, tuple[str, ...]],
        worth_of: Mapping[str, float],
    ) -> Policy:
        """The constants of planning. What is by digest (base model, columns, bytes, parts, worth) is kept up
        by its owner."""
        return Policy(
            wait_bound_seconds=self.wait_bound_seconds,
            overdue_share=self.overdue_share,
            quantum_tokens=self.quantum_tokens,
            tenant_weights=self.tenant_weights,
            early_reads=self.early_reads,
            prewarm_copies=self.prewarm_copies,
            base_of=base_of,
            columns_of=columns_of,
            bytes_of=bytes_of,
            parts_of=parts_of,
            worth_of=worth_of,
        )
