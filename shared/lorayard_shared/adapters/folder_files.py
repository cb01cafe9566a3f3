"""The files of an adapter's folder that mean something, judged together: nothing else ever travels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lorayard_schemas.adapter import AdapterKind
from lorayard_shared.adapters.config import CONFIG_NAME, MAX_CONFIG_BYTES
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError, no_folder
from lorayard_shared.adapters.files import MAX_WEIGHTS_BYTES, WEIGHTS_NAME, AdapterFile, read_adapter
from lorayard_shared.adapters.finite import check_finite
from lorayard_shared.adapters.plain_file import read_plain_file
from lorayard_shared.adapters.prompt_template import MAX_BYTES as MAX_TEMPLATE_BYTES
from lorayard_shared.adapters.prompt_template import TEMPLATE_NAME
from lorayard_shared.adapters.self_check import MAX_BYTES as MAX_SELF_CHECK_BYTES
from lorayard_shared.adapters.self_check import SELF_CHECK_NAME, Expectation, read_self_check

SMALL_FILES = {
    CONFIG_NAME: MAX_CONFIG_BYTES,
    TEMPLATE_NAME: MAX_TEMPLATE_BYTES,
    SELF_CHECK_NAME: MAX_SELF_CHECK_BYTES,
}
"""Beside the weights: name -> the most it may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedFolder:
    """An adapter that is sound as far as can be seen without a base model, and the bytes that were judged."""

    adapter: AdapterFile
    digest: str
    files: dict[str, memoryview]
    """Name -> bytes."""
    expectations: tuple[Expectation, ...]
    ignored: tuple[str, ...]
    """Names of what else lies in the folder."""

    @property
    def kind(self) -> AdapterKind:
        """How its tensors change a module."""
        if self.adapter.config.use_dora:
            return AdapterKind.DORA
        return AdapterKind.RSLORA if self.adapter.config.use_rslora else AdapterKind.LORA

    @property
    def size_bytes(self) -> int:
        """Of all its files."""
        return sum(len(data) for data in self.files.values())


def judge_folder(folder: Path, *, max_bytes: int = MAX_WEIGHTS_BYTES) -> JudgedFolder:
    """Read an adapter's folder and judge all of it. Takes a second for 300 MB.

    Raises:
        AdapterRefusedError: the first thing that is wrong, with file, module and numbers.
    """
    if not folder.is_dir():
        raise no_folder(folder)
    names = _names(folder)
    small = _read_small(folder, names)
    adapter = read_adapter(folder, max_bytes=max_bytes)
    check_finite(adapter)
    expectations = read_self_check(folder)
    if _read_small(folder, _names(folder)) != small:
        raise AdapterRefusedError(folder, "its files were changed while they were read; try again")
    files = {**small, WEIGHTS_NAME: adapter.data}
    return JudgedFolder(
        adapter=adapter,
        digest=adapter_digest(adapter),
        files=files,
        expectations=expectations,
        ignored=tuple(sorted(names - files.keys())),
    )


def _names(folder: Path) -> frozenset[str]:
    """What lies in the folder. Raises AdapterRefusedError for a file of ours that leads elsewhere."""
    try:
        root = folder.resolve(strict=True)
        names = frozenset(entry.name for entry in folder.iterdir())
        for name in sorted(names & {WEIGHTS_NAME, *SMALL_FILES}):
            # Whoever made the folder would choose what of this machine is sent.
            if not (folder / name).resolve().is_relative_to(root):
                raise AdapterRefusedError(
                    folder, f"{name} is a link that leads outside the folder; copy it with its files: cp -rL"
                )
    except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 call links in a circle a RuntimeError
        raise AdapterRefusedError(folder, f"cannot be read: {error}") from None
    return names


def _read_small(folder: Path, names: frozenset[str]) -> dict[str, memoryview]:
    found: dict[str, memoryview] = {}
    for name, limit in SMALL_FILES.items():
        if name in names:
            try:
                found[name] = read_plain_file(folder, name, limit)
            except FileNotFoundError:
                continue  # gone since: what follows judges the folder without it
    return found
