"""Finds the adapters under a root laid out as `{org}/{model}/{task}/{version}`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from lorayard_schemas.names import version_order
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import MAX_WEIGHTS_BYTES, read_adapter
from lorayard_shared.adapters.finite import check_finite
from lorayard_shared.logs import Event
from lorayard_workers.adapters.fit import Shapes, check_fits, check_rank
from lorayard_workers.adapters.wide import NO_WIDE, WideRoom
from lorayard_workers.errors import CapacityError

_log = structlog.stdlib.get_logger(__name__)

DEPTH = 4

_Signature = tuple[tuple[str, int, int, int], ...]
"""Name, size, mtime and inode of a folder's files: unchanged means not worth reading again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One version of one adapter, checked and named by its content."""

    name: str  # {org}/{model}/{task}
    version: str
    path: Path
    digest: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    size_bytes: int
    base_model_name_or_path: str | None
    prompt_template: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenEntry:
    """A version folder that cannot be served, and why."""

    name: str
    version: str
    path: Path
    reason: str
    module: str | None = None  # or the tensor at fault, where there is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """One scan of a root: what can be served and what cannot, each in version order."""

    entries: tuple[CatalogEntry, ...] = ()
    broken: tuple[BrokenEntry, ...] = ()

    def folders(self) -> dict[str, Path]:
        """Digest -> folder, as an engine wants it; of equal contents the first."""
        return {entry.digest: entry.path for entry in reversed(self.entries)}

    def prompt_templates(self) -> dict[str, str]:
        """Digest -> template, for the adapters that have one."""
        return {e.digest: e.prompt_template for e in self.entries if e.prompt_template is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a look at a folder left."""

    signature: _Signature
    result: CatalogEntry | BrokenEntry | None
    """None: it was not judged yet."""
    waits: bool = False
    """It has changed, or gone, since it was judged."""


@dataclass(slots=True, kw_only=True)
class CatalogScanner:
    """Scans a root again and again, reading only folders whose files changed.

    With `shapes` each adapter is also checked against the base model, with `max_rank` against the slots.
    """

    root: Path
    shapes: Shapes | None = None
    max_rank: int | None = None
    wide: WideRoom = NO_WIDE
    max_bytes: int = MAX_WEIGHTS_BYTES
    _seen: dict[Path, _Seen] = field(default_factory=dict[Path, "_Seen"])

    def scan(self, *, patient: bool = False) -> Catalog:
        """Look at every version folder; a broken one never hides the others.

        `patient`: one that is new, has changed or is gone counts as it was before until the next look finds
        the same: somebody may be copying into it, or putting another in its place.
        """
        found = {path: self._look(path, patient) for path in self._version_folders()}
        if patient:
            found |= {
                path: replace(seen, waits=True)
                for path, seen in self._seen.items()
                if path not in found and not seen.waits
            }
        self._seen = found
        results = sorted(
            (seen.result for seen in found.values() if seen.result is not None),
            key=lambda entry: (entry.name, version_order(entry.version)),
        )
        return Catalog(
            entries=tuple(entry for entry in results if isinstance(entry, CatalogEntry)),
            broken=tuple(entry for entry in results if isinstance(entry, BrokenEntry)),
        )

    def _version_folders(self) -> Iterator[Path]:
        level = [self.root] if self.root.is_dir() else []
        for _ in range(DEPTH):
            level = [child for folder in level for child in _subfolders(folder)]
        yield from level

    def _look(self, path: Path, patient: bool) -> _Seen:
        seen = self._seen.get(path)
        try:
            signature = _signature(path)
            if seen is not None and seen.signature == signature and not seen.waits:
                return seen
            outside = self._outside(path)
        except (OSError, RuntimeError) as error:  # Python 3.11 and 3.12 call links in a circle a RuntimeError
            signature, outside = (), str(error)
        if patient and (seen is None or seen.signature != signature):
            return _Seen(signature=signature, result=None if seen is None else seen.result, waits=True)
        result = self._judge(path) if outside is None else self._broken(path, outside)
        return _Seen(signature=signature, result=result)

    def _outside(self, path: Path) -> str | None:
        """Why it is not to be read: it, or a file of it, lies elsewhere."""
        if not self._is_inside(path):
            return f"leads outside the root, to {path.resolve()}"
        outside = next((file for file in path.iterdir() if not self._is_inside(file)), None)
        return None if outside is None else f"{outside.name} leads outside the root"

    def _is_inside(self, file: Path) -> bool:
        return file.resolve().is_relative_to(self.root.resolve())

    def _judge(self, path: Path) -> CatalogEntry | BrokenEntry:
        try:
            return self._read(path)
        except AdapterRefusedError as error:
            return self._broken(path, error.reason, error.module)
        except (CapacityError, OSError) as error:
            return self._broken(path, str(error))
        except Exception as error:  # noqa: BLE001  # a folder that we judge wrongly must not stop the worker
            _log.warning(Event.ADAPTER_NOT_JUDGED, path=str(path), exc_info=True)
            return self._broken(path, f"cannot be judged: {type(error).__name__}: {error!s:.500}")

    def _read(self, path: Path) -> CatalogEntry:
        adapter = read_adapter(path, max_bytes=self.max_bytes)
        check_finite(adapter)
        if self.shapes is not None:
            check_fits(adapter, self.shapes, self.wide)
        if self.max_rank is not None:
            check_rank(adapter, self.max_rank)
        name, version = self._names(path)
        return CatalogEntry(
            name=name,
            version=version,
            path=path,
            digest=adapter_digest(adapter),
            rank=adapter.rank,
            alpha=adapter.config.lora_alpha,
            targets=adapter.targets,
            size_bytes=adapter.size_bytes,
            base_model_name_or_path=adapter.config.base_model_name_or_path,
            prompt_template=adapter.prompt_template,
        )

    def _broken(self, path: Path, reason: str, module: str | None = None) -> BrokenEntry:
        name, version = self._names(path)
        module = None if module is None else _utf8(module)
        return BrokenEntry(name=name, version=version, path=path, reason=_utf8(reason), module=module)

    def _names(self, path: Path) -> tuple[str, str]:
        *name, version = (_utf8(part) for part in path.relative_to(self.root).parts)
        return "/".join(name), version


def _utf8(text: str) -> str:
    """A file's name may hold bytes that no log and no message can carry; they show as `\\udcff`."""
    return text.encode(errors="backslashreplace").decode()


def _subfolders(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return []  # removed or made unreadable under us: the next scan sees what is left
    return [child for child in children if child.is_dir() and not child.name.startswith(".")]


def _signature(folder: Path) -> _Signature:
    with os.scandir(folder) as files:
        stats = [(file.name, file.stat()) for file in files]
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats))
