"""The adapter records of the bucket `yard_adapters` as they were last seen."""

from __future__ import annotations

from lorayard_schemas.adapter import AdapterRecord, AdapterState, decode_record
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.logs import Event, process_logger


class AdapterRegistry:
    """Records by name and version, kept up by a bucket watch."""

    def __init__(self) -> None:
        self._by_key: dict[str, AdapterRecord] = {}
        self.known: dict[str, dict[str, AdapterRecord]] = {}
        """Name -> version -> record."""
        self.base_of: dict[str, str] = {}
        """Adapter digest -> base model digest; without an entry where no worker has tried it."""
        self.columns_of: dict[str, int] = {}
        """Adapter digest -> what it takes of a worker's slots."""
        self.bytes_of: dict[str, int] = {}
        """Adapter digest -> size of its weights' file."""
        self.labels: dict[str, str] = {}
        """Adapter digest -> `name@version`, also of records that are gone."""
        self.changes = 0
        """Since the start."""
        self.restricted: set[str] = set()
        """Names of which some version is not for every tenant."""
        self.access_changes = 0
        """Since the start: that a version was given to other tenants."""
        self.changed = False
        """Whether records have come or gone since this was last set back."""

    def on_change(self, key: str, value: bytes | None) -> AdapterRecord | None:
        """Take one change of the bucket; one that cannot be read is logged and counts as absent.

        So does a copy under another key, which would hide the version that it is a copy of. Returns a version
        that is for other tenants now than it was.
        """
        before = self._by_key.get(key)
        self.changed = True
        self.changes += 1
        self._forget(key)
        if value is None:
            return None
        try:
            record = decode_record(key, value)
        except MalformedMessageError as error:
            process_logger().error(Event.MESSAGE_MALFORMED, key=key, field=error.field, reason=error.reason)
            return None
        self._put(key, record)
        if before is None or before.tenants == record.tenants:
            return None
        self.access_changes += 1
        return record

    def add(self, record: AdapterRecord) -> None:
        """Take a record from elsewhere than a watch."""
        self._put(record.label, record)

    def _put(self, key: str, record: AdapterRecord) -> None:
        self._by_key[key] = record
        if record.tenants:
            self.restricted.add(record.name)
        self.known.setdefault(record.name, {})[record.version] = record
        if record.base_digest is not None:
            self.base_of[record.digest] = record.base_digest
        self.columns_of[record.digest] = record.columns or record.rank
        self.bytes_of[record.digest] = record.size_bytes
        self.labels[record.digest] = f"{record.name}@{record.version}"

    def stored_under(self, key: str) -> str | None:
        """The digest of the record under a key, if its files are in the store."""
        record = self._by_key.get(key)
        return record.digest if record is not None and record.in_store else None

    def active(self) -> list[str]:
        """Digests of the versions that may serve, the newest first."""
        newest: dict[str, float] = {}
        for record in self._by_key.values():
            if record.state is AdapterState.ACTIVE:
                newest[record.digest] = max(record.registered_at, newest.get(record.digest, 0.0))
        return sorted(newest, key=lambda digest: (-newest[digest], digest))

    def _forget(self, key: str) -> None:
        record = self._by_key.pop(key, None)
        versions = self.known.get(record.name, {}) if record is not None else {}
        # A copy of it under another key has taken its place, or gone before.
        if record is None or versions.get(record.version) is not record:
            return
        del versions[record.version]
        if not versions:
            del self.known[record.name]
