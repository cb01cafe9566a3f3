"""Settings every process of a yard shares. Read once at the entry point and passed in.

Each setting is an environment variable with the prefix `LORAYARD_`: `LORAYARD_URL`, `LORAYARD_PREFIX` ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lorayard_schemas.names import AdapterSpec
from lorayard_schemas.subjects import Subjects
from lorayard_shared.bus_url import BusUrl, without_login
from lorayard_shared.errors import SettingsError

Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class YardSettings(BaseSettings):
    """Where the bus is and what the yard on it is called."""

    model_config = SettingsConfigDict(
        env_prefix="LORAYARD_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # an address or a password would stand in tracebacks
    )

    url: BusUrl = "nats://127.0.0.1:4222"
    prefix: Prefix = "yard"
    user: str | None = None
    password: SecretStr | None = None
    credentials_file: str | None = None
    """Who this process is, as `lorayard security` wrote it: claims and the key that proves them."""
    tls_ca: Path | None = None
    """Certificates of whoever may vouch for the server, where the machine's own do not."""
    inbox_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "_INBOX"
    """Under which replies come: one that no other user may listen on keeps them from being overheard."""
    message_salt: SecretStr = SecretStr("")
    """Makes the ids by which streams drop a second copy unguessable for others who publish there."""
    connect_timeout_seconds: float = Field(default=5.0, gt=0, le=3600.0)
    ack_wait_seconds: float = Field(default=15.0, ge=1.0, le=86_400.0)
    """How long a lease lives without renewal: the time until work of a killed process is given out again."""
    result_ttl_seconds: int = Field(default=86_400, ge=1)
    """Whole seconds: the server refuses fractions."""
    session_ttl_seconds: int = Field(default=3600, ge=1, le=30 * 86_400)
    """How long a session that rests is remembered; one in use is written anew past half of it."""
    replicas: int = Field(default=1, ge=1, le=5)
    window: int = Field(default=4096, ge=1)
    """Jobs of one lane that a dispatcher parks; twice as many may be unacknowledged (`max_ack_pending`)."""
    default_adapter: AdapterSpec | None = None
    """For jobs that name no adapter; None answers them with the base model."""
    classifiers_dir: Path = Path("~/.cache/lorayard/classifiers").expanduser()
    """Where the classifier that chooses adapters by meaning is kept once it was fetched: the last few."""
    partitions: int = Field(default=1, ge=1, le=64)
    """Dispatchers that may be active at once, each for its own adapters; further ones stand by."""
    jobs_max_bytes: int = Field(default=2**30, ge=2**20)
    """Back-pressure at the door: a publish beyond it is refused. The server reserves every such limit on its
    disk, so the defaults fit a laptop: under 4 GiB in all."""
    delayed_max_bytes: int = Field(default=2**30, ge=2**20)
    """Of jobs that wait for their time; clients refuse to publish more. Nothing is reserved for them."""
    results_max_bytes: int = Field(default=2**30, ge=2**20)
    payloads_max_bytes: int = Field(default=2**30, ge=2**20)
    blobs_max_bytes: int | None = Field(default=None, ge=2**20)
    """Of adapters in the object store; unset: what the server's disk holds, none of it reserved."""
    files_max_bytes: int | None = Field(default=None, ge=2**20)
    """Of files that HTTP clients upload and batches write; as `blobs_max_bytes`."""
    dead_letters: bool = True
    """Whether a job that is given up leaves a dead letter beside its failed result, where neither the job nor
    its tenant says otherwise."""
    tokens_max_bytes: int = Field(default=2**27, ge=2**20)
    """Of streamed tokens, kept for 10 minutes at most; the oldest leave first."""
    audit: bool = True
    """Whether dispatchers keep what they decide, and workers how jobs end, in the stream of audit records."""
    audit_max_bytes: int = Field(default=2**28, ge=2**20)
    """Of decisions kept for `lorayard explain`; the oldest leave first, so a full stream refuses nothing."""
    audit_age_seconds: int = Field(default=30 * 86_400, ge=1)
    traces: bool = False
    """Whether the process sends spans, to where `OTEL_EXPORTER_OTLP_ENDPOINT` says."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    """Where the process shows `/metrics`; 0 takes a free port, None shows none and counts no job for it."""
    metrics_adapters: int = Field(default=1000, ge=1, le=100_000)
    """Adapter versions that metrics tell apart; the rest are `other`."""
    metrics_tenants: int = Field(default=100, ge=0, le=100_000)
    """Tenants that metrics tell apart; the rest are `other`. 0 names none."""

    @property
    def shown_url(self) -> str:
        """The address for messages and logs."""
        return without_login(self.url)

    @property
    def renew_seconds(self) -> float:
        """Two renewals may be lost before a lease runs out."""
        return self.ack_wait_seconds / 3

    @property
    def subjects(self) -> Subjects:
        """The names under this yard's prefix."""
        return Subjects(self.prefix)


S = TypeVar("S", bound=YardSettings)


def read_settings(kind: type[S], **given: object) -> S:
    """Settings of one process: what was given, else the environment, else the default.

    Raises:
        SettingsError: naming the first bad setting.
    """
    try:
        return kind(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        got = without_login(str(first["input"])) if name == "url" else first.get("input")
        raise SettingsError(
            setting=f"LORAYARD_{name.upper()}", reason=f"{first['msg']}, got {got!r}"
        ) from error
