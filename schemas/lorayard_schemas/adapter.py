"""The record of one adapter version in the bucket `yard_adapters`: names point at content digests."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.message import Message, Part
from lorayard_schemas.names import AdapterName, Digest, Tenant, Version, key_token

MAX_FILES = 32
"""Of one version: an adapter has two to five."""
MAX_FILE_BYTES = 1 << 40
MAX_LABELS = 64
MAX_TENANTS = 1024
MAX_PARTS = 32
"""Adapters that one was made from."""
MAX_REASON_CHARACTERS = 1000
"""A record is read by every dispatcher and worker; all of a refusal's text is in the log of who refused."""


class AdapterState(StrEnum):
    """Whether a version may serve."""

    PUSHED = "pushed"
    """Its files are in the store, whole, and sound as far as can be seen without a model."""
    VALIDATED = "validated"
    """A worker has loaded it and let it generate; it serves nobody yet."""
    ACTIVE = "active"
    """It serves."""
    ARCHIVED = "archived"
    """It serves no more; its record and files are kept."""
    REFUSED = "refused"
    """A worker found it unfit; `refusal` says why."""


TRANSITIONS: Final[Mapping[AdapterState, frozenset[AdapterState]]] = MappingProxyType(
    {
        AdapterState.PUSHED: frozenset({AdapterState.VALIDATED, AdapterState.REFUSED, AdapterState.ARCHIVED}),
        AdapterState.VALIDATED: frozenset(
            {AdapterState.ACTIVE, AdapterState.PUSHED, AdapterState.REFUSED, AdapterState.ARCHIVED}
        ),
        AdapterState.ACTIVE: frozenset({AdapterState.ARCHIVED, AdapterState.REFUSED}),
        AdapterState.ARCHIVED: frozenset({AdapterState.PUSHED, AdapterState.ACTIVE}),
        AdapterState.REFUSED: frozenset({AdapterState.PUSHED, AdapterState.ARCHIVED}),
    }
)
"""What a version may become. Back to `pushed` means: to be validated anew. `archived` to `active` is for one
that has served before."""


class AdapterKind(StrEnum):
    """How its tensors change a module."""

    LORA = "lora"
    RSLORA = "rslora"
    """Scaled by alpha / sqrt(rank)."""
    DORA = "dora"
    """With a magnitude for each output."""


FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""Of a file in an adapter's folder: no path, nothing hidden, so that it can lead nowhere else."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?$")]
LabelText = Annotated[str, StringConstraints(max_length=256)]


class StoredFile(Part):
    """One file of a version, in the object store `yard_blobs` under its digest."""

    name: FileName
    sha256: Sha256
    """Of its bytes."""
    size_bytes: int = Field(ge=0, le=MAX_FILE_BYTES)


class RecipePart(Part):
    """One adapter that another was made from."""

    name: AdapterName
    version: Version
    digest: Digest
    weight: float = Field(default=1.0, allow_inf_nan=False)


class AdapterRecipe(Part):
    """How a version was made from others: the same recipe gives the same weights."""

    parts: tuple[RecipePart, ...] = Field(min_length=1, max_length=MAX_PARTS)
    policy: str
    """As in a job's composition: `cat`, `svd`, `ties` ..."""
    density: float | None = None
    majority_sign: str | None = None
    svd_rank: int | None = None
    seed: int | None = None
    digest: Digest | None = None
    """Of all that, as in a job's composition; None: an older tool made it."""
    template: str | None = None
    """The part (`name@version`) whose prompt template it was given; None: none was chosen."""


class AdapterRefusal(Part):
    """Why a version may not serve."""

    reason: str = Field(max_length=MAX_REASON_CHARACTERS)
    module: str | None = Field(default=None, max_length=MAX_REASON_CHARACTERS)
    """The module, tensor or setting at fault, where one is."""
    worker: str = ""
    """Who found it."""
    at: float = 0.0
    """Unix seconds."""


class AdapterRecord(Message):
    """One immutable version: the same name and version never stand for other bytes.

    What changes is its state, labels and tenants, by compare-and-set on the bucket's revision.
    """

    name: AdapterName
    version: Version
    digest: Digest
    """Of its canonical configuration and weights: what it computes."""
    base_digest: Digest | None = None
    """Of the base model that it fits; None until a worker has tried it."""
    kind: AdapterKind = AdapterKind.LORA
    rank: int = Field(ge=1)
    """The largest of any module."""
    columns: int = Field(default=0, ge=0)
    """What it takes of a worker's slots: its rank in whole pages; 0: an older worker has not said."""
    alpha: float
    targets: tuple[str, ...]
    size_bytes: int = Field(ge=0)
    """Of its weights' file."""
    files: tuple[StoredFile, ...] = Field(default=(), max_length=MAX_FILES)
    """In the object store; empty: only workers that found it on their own disks have it."""
    prompt_template: str | None = None
    """What stands around a prompt, `{prompt}` in its place; None sends prompts as they are."""
    labels: dict[LabelKey, LabelText] = Field(default_factory=dict, max_length=MAX_LABELS)
    """What its publisher says of it."""
    tenants: tuple[Tenant, ...] = Field(default=(), max_length=MAX_TENANTS)
    """Who may use it; empty: everybody."""
    recipe: AdapterRecipe | None = None
    """Of one that was made from others."""
    state: AdapterState = AdapterState.ACTIVE
    refusal: AdapterRefusal | None = None
    """The last one; kept when it is tried again."""
    registered_at: float = 0.0
    """Unix seconds."""
    registered_by: str = ""
    changed_at: float = 0.0
    """Unix seconds of the last change; 0: none since it was registered."""
    changed_by: str = ""
    change: str = ""
    """Why it was changed last."""

    @property
    def label(self) -> str:
        """As people write it: `name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def in_store(self) -> bool:
        """Whether any worker can fetch it."""
        return bool(self.files)

    def allows(self, tenant: str) -> bool:
        """Whether a tenant's jobs may use it."""
        return not self.tenants or tenant in self.tenants

    @property
    def key(self) -> str:
        """Of it in the bucket."""
        return record_key(self.name, self.version)


def record_key(name: str, version: str) -> str:
    """The bucket key of a version."""
    return f"{key_token(name)}.{key_token(version)}"


def decode_record(key: str, value: bytes) -> AdapterRecord:
    """A record as it stands in the bucket.

    Raises:
        MalformedMessageError: it cannot be read, or it stands under the key of another version.
    """
    record = decode(AdapterRecord, value)
    if record.key != key:
        raise MalformedMessageError(
            kind=AdapterRecord.__name__, field="name", reason=f"{record.label!r} stands under another key"
        )
    return record
