"""`Adapters`, blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from lorayard.registry.adapters import Adapters, PushReport
from lorayard.registry.calls import Calls
from lorayard.registry.comparing import AdapterDiff
from lorayard.registry.publication import MAX_WEIGHTS_BYTES, PushOptions
from lorayard.registry.removal import RemovalReport
from lorayard.registry.repairing import RepairReport
from lorayard.registry.verifying import ClassifierCheck, VersionCheck
from lorayard_schemas.adapter import AdapterRecord
from lorayard_shared.registry.blobs import OnBytes, unheard
from lorayard_shared.registry.sweeping import ORPHAN_SECONDS, OrphanReport


class SyncAdapters:
    """The adapters of one yard. Called, it lists every registered version."""

    def __init__(self, adapters: Adapters, thread: Callable[[], Calls]) -> None:
        self._adapters = adapters
        self._thread = thread

    def __call__(self) -> list[AdapterRecord]:
        """Every registered adapter version."""
        return self._thread().call(self._adapters())

    def push(
        self,
        folder: Path | str,
        *,
        name: str,
        version: str,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
        max_bytes: int = MAX_WEIGHTS_BYTES,
        **options: Unpack[PushOptions],
    ) -> PushReport:
        """Put a new version into the store; raises as `Adapters.push` does."""
        return self._thread().call(
            self._adapters.push(
                folder,
                name=name,
                version=version,
                on_bytes=on_bytes,
                on_size=on_size,
                max_bytes=max_bytes,
                **options,
            )
        )

    def pull(
        self,
        adapter: str,
        folder: Path | str,
        *,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
    ) -> AdapterRecord:
        """Write a version's files to a new folder; raises as `Adapters.pull` does."""
        return self._thread().call(self._adapters.pull(adapter, folder, on_bytes=on_bytes, on_size=on_size))

    def verify(
        self, adapter: str | None = None, *, on_bytes: OnBytes = unheard, on_size: OnBytes = unheard
    ) -> list[VersionCheck]:
        """Compare what the store has with the records; raises as `Adapters.verify` does."""
        return self._thread().call(self._adapters.verify(adapter, on_bytes=on_bytes, on_size=on_size))

    def verify_classifiers(
        self, *, on_bytes: OnBytes = unheard, on_size: OnBytes = unheard
    ) -> list[ClassifierCheck]:
        """Compare what the store has of the classifier; raises as `Adapters.verify_classifiers` does."""
        return self._thread().call(self._adapters.verify_classifiers(on_bytes=on_bytes, on_size=on_size))

    def repair(
        self,
        folder: Path | str,
        adapter: str | None = None,
        *,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
    ) -> RepairReport:
        """Put right stored files from a folder; raises as `Adapters.repair` does."""
        return self._thread().call(self._adapters.repair(folder, adapter, on_bytes=on_bytes, on_size=on_size))

    def sweep(self, *, older_than_seconds: float = ORPHAN_SECONDS, dry_run: bool = False) -> OrphanReport:
        """Take out of the store what nothing needs; raises as `Adapters.sweep` does."""
        return self._thread().call(
            self._adapters.sweep(older_than_seconds=older_than_seconds, dry_run=dry_run)
        )

    def diff(
        self,
        first: Path | str,
        second: Path | str,
        *,
        on_bytes: OnBytes = unheard,
        on_size: OnBytes = unheard,
    ) -> AdapterDiff:
        """What differs between two adapters; raises as `Adapters.diff` does."""
        return self._thread().call(self._adapters.diff(first, second, on_bytes=on_bytes, on_size=on_size))

    def validate(self, adapter: str, *, reason: str = "") -> AdapterRecord:
        """Have a worker try a version; raises as `Adapters.validate` does."""
        return self._thread().call(self._adapters.validate(adapter, reason=reason))

    def activate(self, adapter: str, *, reason: str = "") -> AdapterRecord:
        """Let a version serve; raises as `Adapters.activate` does."""
        return self._thread().call(self._adapters.activate(adapter, reason=reason))

    def archive(self, adapter: str, *, reason: str = "") -> AdapterRecord:
        """Let a version serve no more; raises as `Adapters.archive` does."""
        return self._thread().call(self._adapters.archive(adapter, reason=reason))

    def amend(
        self,
        adapter: str,
        *,
        labels: Mapping[str, str] | None = None,
        unlabel: Iterable[str] = (),
        tenants: Sequence[str] | None = None,
        all_tenants: bool = False,
        reason: str = "",
    ) -> AdapterRecord:
        """Change what is said of a version, and who may use it; see `Adapters.amend`."""
        return self._thread().call(
            self._adapters.amend(
                adapter,
                labels=labels,
                unlabel=unlabel,
                tenants=tenants,
                all_tenants=all_tenants,
                reason=reason,
            )
        )

    def remove(self, adapter: str, *, reason: str = "") -> RemovalReport:
        """Take a version out of the registry; raises as `Adapters.remove` does."""
        return self._thread().call(self._adapters.remove(adapter, reason=reason))

    def find(self, adapter: str) -> AdapterRecord:
        """The record of a version; raises as `Adapters.find` does."""
        return self._thread().call(self._adapters.find(adapter))
