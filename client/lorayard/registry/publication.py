"""An adapter's folder as it would stand in the registry: judged on this machine, before a byte is sent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from pydantic import ValidationError

from lorayard.known_names import check_names
from lorayard.registry.amending import listed_tenants, unusable
from lorayard.registry.extras import needing
from lorayard_schemas.adapter import AdapterKind, AdapterRecipe, AdapterRecord, AdapterState, StoredFile
from lorayard_shared.registry.blobs import FileBytes

if TYPE_CHECKING:
    from lorayard_shared.adapters.folder_files import JudgedFolder

MAX_WEIGHTS_BYTES = 1 << 30
"""As workers take them unless told otherwise."""


class PushOptions(TypedDict, total=False):
    """What a publisher may say of a version."""

    labels: Mapping[str, str]
    tenants: Sequence[str]
    """Who may use it; empty: everybody."""
    reason: str
    """Why, for the record."""
    recipe: AdapterRecipe
    """How it was made from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What would be pushed."""

    record: AdapterRecord
    files: tuple[FileBytes, ...]
    """The small ones first: the weights are the last to come in place."""
    ignored: tuple[str, ...]
    """Names of what else lies in the folder, and is not sent."""

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(len(file.data) for file in self.files)

    def stored(self, files: Sequence[StoredFile]) -> AdapterRecord:
        """The record, once its files are in the store."""
        return self.record.model_copy(update={"files": tuple(files)})


def read_publication(
    folder: Path, *, name: str, version: str, actor: str, options: PushOptions, max_bytes: int
) -> Publication:
    """Judge a folder and what is said of it.

    Raises:
        AdapterRefusedError: the folder cannot be served, and why.
        InvalidRequestError: the name, version, a label or a tenant cannot be used.
    """
    # Late: numpy and regex are needed by publishers only, and come with `lorayard[adapters]`.
    with needing("adapters", "pushing an adapter"):
        from lorayard_shared.adapters.folder_files import judge_folder

    check_said(name=name, version=version, actor=actor, options=options)  # before a long read
    judged = judge_folder(folder, max_bytes=max_bytes)
    record = _record(judged, name=name, version=version, actor=actor, options=options)
    files = [FileBytes(name=file, data=data) for file, data in judged.files.items()]
    files.sort(key=lambda file: len(file.data))
    return Publication(record=record, files=tuple(files), ignored=judged.ignored)


def check_said(*, name: str, version: str, actor: str, options: PushOptions) -> None:
    """Whether a version can be called so, whatever its files.

    Raises:
        InvalidRequestError: the name, version, a label or a tenant cannot be used.
    """
    _record(None, name=name, version=version, actor=actor, options=options)


_UNREAD = "sha256:" + "0" * 64


def _record(
    judged: JudgedFolder | None, *, name: str, version: str, actor: str, options: PushOptions
) -> AdapterRecord:
    """As it will be registered; without a folder it shows whether the rest can be used."""
    check_names(options, PushOptions.__annotations__)  # a misspelt `tenants` would let in everybody
    try:
        return AdapterRecord(
            name=name,
            version=version,
            digest=judged.digest if judged else _UNREAD,
            **_weights(judged),
            labels=dict(options.get("labels", {})),
            tenants=listed_tenants(options.get("tenants", ())),
            state=AdapterState.PUSHED,
            registered_at=time.time(),
            registered_by=actor,
            recipe=options.get("recipe"),
            change=options.get("reason", ""),
        )
    except ValidationError as error:
        raise unusable(error) from None


class _Weights(TypedDict, total=False):
    kind: AdapterKind
    rank: int
    alpha: float
    targets: tuple[str, ...]
    size_bytes: int
    prompt_template: str | None


def _weights(judged: JudgedFolder | None) -> _Weights:
    """What the files say."""
    if judged is None:
        return _Weights(rank=1, alpha=1.0, targets=(), size_bytes=0)
    adapter = judged.adapter
    return _Weights(
        kind=judged.kind,
        rank=adapter.rank,
        alpha=adapter.config.lora_alpha,
        targets=adapter.targets,
        size_bytes=adapter.size_bytes,
        prompt_template=adapter.prompt_template,
    )
