"""Settings every process of a yard shares. Read once at the entry point and passed in (style, rule 17).

Each setting is an environment variable with the prefix `LORAYARD_`: `LORAYARD_URL`, `LORAYARD_PREFIX` ...
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from lorayard_schemas.subjects import Subjects
from lorayard_shared.errors import SettingsError

URL_SCHEMES: Final = frozenset({"nats", "tls", "ws", "wss"})
Prefix = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


def _bus_url(value: str) -> str:
    try:
        parts = urlsplit(value if "://" in value else f"nats://{value}")
        host = (parts.hostname or "").split()
        usable = parts.scheme in URL_SCHEMES and len(host) == 1 and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("write nats://host:port (tls://, ws:// and wss:// too)")
    return value


BusUrl = Annotated[str, AfterValidator(_bus_url)]


class YardSettings(BaseSettings):
    """Where the bus is and what the yard on it is called."""

    model_config = SettingsConfigDict(env_prefix="LORAYARD_", frozen=True, extra="ignore")

    url: BusUrl = "nats://127.0.0.1:4222"
    prefix: Prefix = "yard"
    user: str | None = None
    password: str | None = None
    credentials_file: str | None = None
    connect_timeout_seconds: float = Field(default=5.0, gt=0)
    ack_wait_seconds: float = Field(default=15.0, ge=1.0, le=86_400.0)
    """How long a lease lives without renewal: the time until work of a killed process is given out again."""
    result_ttl_seconds: int = Field(default=86_400, ge=1)
    """Whole seconds: the server refuses fractions (anchors-bus A2)."""
    replicas: int = Field(default=1, ge=1, le=5)
    window: int = Field(default=4096, ge=1)
    """Jobs of one lane that dispatcher and workers may hold at once (`max_ack_pending`)."""
    jobs_max_bytes: int = Field(default=2**30, ge=2**20)
    """Back-pressure at the door: a publish beyond it is refused. The server reserves every such limit on its
    disk, so the defaults fit a laptop: under 4 GiB in all."""
    results_max_bytes: int = Field(default=2**30, ge=2**20)
    payloads_max_bytes: int = Field(default=2**30, ge=2**20)

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
        raise SettingsError(
            setting=f"LORAYARD_{name.upper()}", reason=f"{first['msg']}, got {first.get('input')!r}"
        ) from error
