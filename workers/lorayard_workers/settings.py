"""Settings of a worker process, on top of those of the yard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lorayard_schemas.advert import MAX_LABELS
from lorayard_schemas.attempt import MAX_ATTEMPTS
from lorayard_schemas.retry import MAX_BASE_SECONDS, MAX_CAP_SECONDS
from lorayard_shared.settings import YardSettings

DeviceName = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]
WorkerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class WorkerSettings(YardSettings):
    """What an operator may decide about one worker."""

    name: WorkerName = "w1"
    """Unique in the yard: lower-case letters, digits, - and _."""
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=MAX_LABELS)
    """What placement may ask for, as in `zone=a`. In the environment: JSON."""
    model: str = "gemma3-270m"
    """`gemma3-270m`, `tiny`, or the folder of a model."""
    models_dir: Path = Path("~/.cache/lorayard/models").expanduser()
    adapters_dir: Path | None = None
    """`{org}/{model}/{task}/{version}` below it."""
    adapters_scan_seconds: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    """Between two looks at `adapters_dir` while the worker runs; 0 looks at the start only."""
    dedicated: str | None = None
    """`name@version` or digest of the only adapter to serve, folded into the base model's weights."""
    engine: Literal["packed", "echo"] = "packed"
    slots: int = Field(default=8, ge=1, le=1024)
    slot_bytes: int | None = Field(default=None, ge=1)
    """Device memory of all slots; unset: room for one adapter of `max_rank` and `slots - 1` of rank 16."""
    rows: int = Field(default=16, ge=1, le=4096)
    lookahead: int = Field(default=4, ge=0)
    """Jobs taken beyond the rows, so that a row that ends finds the next job here."""
    max_rank: int = Field(default=64, ge=1, le=4096)
    """More than any published adapter has; room for one of this rank is taken at start."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """More than any machine has cores; OpenMP crashes at some tens of thousands."""
    dtype: Literal["bf16", "fp32"] = "bf16"
    base_quantization: Literal["none", "int8", "int4"] = "none"
    """Of the base model. It is part of the base model's identity: workers that share adapters share it."""
    screened_head: bool = True
    """Greedy rows in bf16 on a CPU: the exact likeliest token, through a copy of the head in bytes."""
    device: DeviceName = "auto"
    context_tokens: int | None = Field(default=None, ge=16)
    kv_bytes: int = Field(default=1 << 30, ge=1 << 20)
    prefix_reuse: bool = True
    """Rows that begin like an earlier one, with the same adapter, do not compute that part again."""
    deterministic: bool = False
    """A row's logits are the same bits whatever shares its batch, at some cost of throughput."""
    host_bytes: int = Field(default=1 << 30, ge=1 << 20)
    wide_bytes: int = Field(default=256 << 20, ge=0)
    """Device memory for LoRA on embeddings and heads; an adapter may bring `wide_bytes / slots`."""
    cache_dir: Path | None = None
    """Where adapters are kept packed, for this user alone; None is `packed-adapters` in `models_dir`."""
    disk_bytes: int = Field(default=4 << 30, ge=0)
    """All files of `cache_dir`; 0 keeps none."""
    pulled_dir: Path | None = None
    """Where adapters fetched from the yard's store are kept, also for other workers of this user on this
    machine; None is `pulled-adapters` in `models_dir`."""
    pulled_bytes: int = Field(default=16 << 30, ge=0)
    """All files of `pulled_dir`; the longest unused leave, never those in use. 0 fetches none."""
    adapter_storage: Literal["model", "int8"] = "model"
    """How adapters lie in host memory and in `cache_dir`: in the model's type, or in half of it."""
    json_schemas: bool = True
    """Take jobs with a JSON schema: 3 seconds at start and 270 MB for a vocabulary of 262,144 tokens."""
    echo_delay_seconds: float = Field(default=0.0, ge=0)
    echo_reply: Literal["prompt", "nothing"] = "prompt"
    echo_load_seconds: float = Field(default=0.0, ge=0)
    echo_disk_seconds: float = Field(default=0.0, ge=0)
    """Of an adapter on its way into host memory, before `echo_load_seconds`."""
    echo_hangs_on: str | None = None
    """For tests of what surrounds an engine: it hangs for ever on this prompt."""
    stall_seconds: float = Field(default=60.0, gt=0)
    """A worker whose engine, loader or event loop is longer at one piece of work ends itself: a step takes
    0.1 s, a full prefill chunk seconds at worst. Where a longer one has ended well, twice its time counts."""
    emergency: bool = True
    """Whether it pulls jobs by itself while no dispatcher lives."""
    emergency_after_seconds: float = Field(default=5.0, gt=0)
    """How long it must have heard of none before: longer than a stand-by takes to become active."""
    drain_seconds: float = Field(default=20.0, ge=0)
    """How long a stopping worker lets its rows finish before it hands the rest back."""
    run_limit_seconds: float | None = Field(default=None, gt=0, le=86_400)
    """After so long a row ends with what it has, where its job does not say; unset: it runs to its end."""
    max_run_seconds: float | None = Field(default=None, gt=0, le=86_400)
    """The same whatever its job says."""
    recycle_jobs: int | None = Field(default=None, ge=1)
    """After so many jobs it drains and ends, to be started anew: one worker of a yard at a time."""
    recycle_rss_bytes: int | None = Field(default=None, ge=1 << 20)
    """The same when it takes so much memory."""
    max_attempts: int = Field(default=3, ge=1, le=MAX_ATTEMPTS)
    """Tries of a job that fails in a way that may pass. In this and the next two a job's or a tenant's own
    word goes before."""
    retry_base_seconds: float = Field(default=1.0, ge=0.1, le=MAX_BASE_SECONDS)
    """The shortest wait before another attempt."""
    retry_cap_seconds: float = Field(default=60.0, ge=0.1, le=MAX_CAP_SECONDS)
    """The longest."""
    snooze_seconds: float = Field(default=3600.0, ge=0, le=7 * 86_400.0)
    """For so long in all an attempt without room, or without its adapter, is put off at no cost; then it
    counts as failed."""

    @property
    def store_dir(self) -> Path:
        """Where fetched adapters are kept."""
        return self.pulled_dir or self.models_dir / "pulled-adapters"

    @property
    def packed_dir(self) -> Path:
        """Where packed adapters are kept."""
        return self.cache_dir or self.models_dir / "packed-adapters"
