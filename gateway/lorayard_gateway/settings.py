"""The gateway's settings: those of a client, and what it lets strangers do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import Field

from lorayard.settings import ClientSettings
from lorayard_shared.errors import SettingsError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class PageMode(StrEnum):
    """What the page for operators lets anybody do."""

    OFF = "off"
    READ = "read"
    """It changes nothing, whoever looks."""
    OPERATE = "operate"
    """Operators may act on it."""


class GatewaySettings(ClientSettings):
    """Read from `LORAYARD_*` like all others. Without keys everybody is `tenant`."""

    gateway_host: str = "127.0.0.1"
    gateway_port: int = Field(default=8080, ge=0, le=65_535)
    """0 takes a free one."""
    gateway_keys: bool = True
    """Whether clients must show a key; without, only this machine is served."""
    gateway_origins: str = ""
    """Web pages that a browser may let in (CORS), with commas between."""
    gateway_page: PageMode = PageMode.OFF
    """The page for operators under `/ui/`."""
    gateway_page_texts: bool = False
    """Whether that page may show prompts and answers, to who asks for them."""
    gateway_max_body_bytes: int = Field(default=4 * 2**20, ge=1024, le=2**28)
    """Prompts over 512 KiB travel by reference, and no model here reads megabytes."""
    gateway_max_connections: int = Field(default=800, ge=1, le=2**20)
    """At once; more are answered with 503, and a quarter more than that are closed unheard. Systems give a
    process 1,024 files where nobody raised that: raise both."""
    gateway_header_seconds: float = Field(default=10.0, gt=0)
    """For the head of a request, from its first byte, or from the connection's."""
    gateway_body_seconds: float = Field(default=30.0, gt=0)
    """For all of its body: 4 MiB over a bad line."""
    gateway_send_seconds: float = Field(default=60.0, gt=0)
    """For a reader to take some of what it was sent."""
    gateway_idle_seconds: int = Field(default=75, ge=1)
    """For the next request of a connection; longer than the 60 s of usual proxies, which would race."""
    gateway_answer_seconds: float = Field(default=600.0, gt=0)
    """For an answer, queue included: the official clients wait as long."""
    gateway_ping_seconds: float = Field(default=15.0, gt=0)
    """Between comments in a silent stream: proxies cut what is silent."""
    gateway_max_file_bytes: int = Field(default=512 * 2**20, ge=1024, le=2**33)
    """Of an uploaded file. OpenAI takes 200 MB of a batch."""
    gateway_tenant_file_bytes: int = Field(default=64 * 2**30, ge=1024)
    """Of all files of one tenant, batches' own too, so that none fills the yard's store alone: choose it well
    below `files_max_bytes` where that is set."""
    gateway_upload_seconds: float = Field(default=900.0, gt=0, le=1800.0)
    """For all of an upload: 512 MiB at 5 Mbit/s. Between two pieces of it `gateway_body_seconds` count."""
    gateway_file_seconds: float = Field(default=30 * 86_400.0, ge=60.0)
    """How long a file is kept that names no end, and an ended batch: as OpenAI keeps files of batches."""
    gateway_batches_at_once: int = Field(default=2, ge=0, le=64)
    """That this gateway runs; 0: it leaves them to others."""
    gateway_batch_seconds: float = Field(default=86_400.0, gt=0)
    """The window of a batch: then it expires. Its clients call it 24h."""
    gateway_batch_lines: int = Field(default=1_000_000, ge=1)
    """Of one batch. OpenAI takes 50,000."""
    gateway_batches_dir: Path = Path("~/.cache/lorayard/batches").expanduser()
    """Input and answers of the batches that run here; all of it may be lost."""
    gateway_drain_seconds: float = Field(default=30.0, ge=0)
    """For answers under way, once it is told to stop."""

    @property
    def origins(self) -> tuple[str, ...]:
        """Of web pages that are let in."""
        return tuple(origin.strip() for origin in self.gateway_origins.split(",") if origin.strip())

    def check(self) -> None:
        """Refuse what would let strangers in.

        Raises:
            SettingsError: without keys it may listen on this machine only.
        """
        if not self.gateway_keys and self.gateway_host not in LOOPBACK:
            reason = (
                f"without keys it may listen on 127.0.0.1 only, not on {self.gateway_host}; "
                "`lorayard keys add TENANT` makes a key"
            )
            raise SettingsError(setting="LORAYARD_GATEWAY_KEYS", reason=reason)
