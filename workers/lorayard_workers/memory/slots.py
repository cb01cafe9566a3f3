"""The books of the device slots: who lies in which columns, and which rows use it.

Only books: the tensors belong to the engine's LoRA groups. One thread at a time (the engine's).
A slot is leased by rows and can be given away only at zero leases, so a running row never sees its
adapter's columns change under it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from lorayard_workers.engine.protocol import SlotView
from lorayard_workers.errors import InvariantError
from lorayard_workers.memory.eviction import Candidate, Usage, choose_victims
from lorayard_workers.memory.layout import RANK_PAGE, padded_rank

Columns = tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class Slot:
    """One resident adapter."""

    digest: str
    columns: Columns
    usage: Usage
    pinned: bool
    rows: set[Hashable] = field(default_factory=set[Hashable])


@dataclass(slots=True, kw_only=True)
class DeviceSlots:
    """At most `count` adapters of at most `max_rank`, in `count * max_rank` columns."""

    count: int
    max_rank: int
    pinned: frozenset[str] = frozenset()
    evictions: int = 0
    _slots: dict[str, Slot] = field(default_factory=dict[str, Slot])

    @property
    def column_count(self) -> int:
        """Columns that the LoRA groups must provide; enough for any mix of ranks."""
        return self.count * padded_rank(self.max_rank)

    def resident(self, digest: str) -> Columns | None:
        """The adapter's columns, if it has a slot."""
        slot = self._slots.get(digest)
        return None if slot is None else slot.columns

    def rows_by_digest(self) -> Mapping[str, int]:
        """Residents and how many rows lease each."""
        return {digest: len(slot.rows) for digest, slot in self._slots.items()}

    def has_room(self) -> bool:
        """Whether `place` would succeed now."""
        return len(self._slots) < self.count or self._victim() is not None

    def place(self, digest: str, rank: int, now: float) -> Columns | None:
        """Take a slot for an adapter, evicting an idle one if need be; None if all are in use.

        The columns hold a former resident's weights until the caller has overwritten them.
        """
        assert digest not in self._slots
        assert rank <= padded_rank(self.max_rank)  # the loader refused anything larger
        if len(self._slots) >= self.count:
            victim = self._victim()
            if victim is None:
                return None
            del self._slots[victim]
            self.evictions += 1
        columns = self._free_columns(padded_rank(rank))
        self._slots[digest] = Slot(
            digest=digest,
            columns=columns,
            usage=Usage(last_used=now),
            pinned=digest in self.pinned,
        )
        return columns

    def drop(self, digest: str) -> None:
        """Forget an adapter that no row uses, for instance after a copy that failed."""
        slot = self._slots[digest]
        if slot.rows:
            raise InvariantError(f"slot {digest} dropped while {len(slot.rows)} rows use it")
        del self._slots[digest]

    def lease(self, digest: str, row: Hashable, now: float) -> Columns:
        """A row starts to use the adapter."""
        slot = self._slots[digest]
        assert row not in slot.rows
        slot.rows.add(row)
        slot.usage = slot.usage.touched(now)
        return slot.columns

    def release(self, digest: str, row: Hashable) -> None:
        """A row has ended."""
        self._slots[digest].rows.remove(row)

    def views(self) -> tuple[SlotView, ...]:
        """The slots as advertised."""
        return tuple(
            SlotView(
                digest=slot.digest,
                rows=len(slot.rows),
                last_used=slot.usage.last_used,
                pinned=slot.pinned,
            )
            for slot in self._slots.values()
        )

    def check(self) -> None:
        """The books agree: no column twice, none out of range, no slot too many."""
        columns = [column for slot in self._slots.values() for column in slot.columns]
        if len(columns) != len(set(columns)):
            raise InvariantError("device slots: a column belongs to two adapters")
        if any(column not in range(self.column_count) for column in columns):
            raise InvariantError("device slots: a column is out of range")
        if len(self._slots) > self.count:
            raise InvariantError(f"device slots: {len(self._slots)} adapters in {self.count} slots")
        rows = [row for slot in self._slots.values() for row in slot.rows]
        if len(rows) != len(set(rows)):
            raise InvariantError("device slots: a row leases two adapters")

    def check_idle(self) -> None:
        """`check`, and no row holds a lease."""
        self.check()
        leased = {digest: rows for digest, rows in self.rows_by_digest().items() if rows}
        if leased:
            raise InvariantError(f"device slots: leases outlive their rows: {leased}")

    def _victim(self) -> str | None:
        victims = choose_victims(
            [
                Candidate(
                    key=slot.digest,
                    usage=slot.usage,
                    in_use=bool(slot.rows),
                    pinned=slot.pinned,
                )
                for slot in self._slots.values()
            ],
            1,
        )
        return victims[0] if victims else None

    def _free_columns(self, wanted: int) -> Columns:
        """The lowest run of free pages, else the lowest free pages: narrow steps are fast steps."""
        taken = {column for slot in self._slots.values() for column in slot.columns}
        pages = [p for p in range(0, self.column_count, RANK_PAGE) if p not in taken]
        need = wanted // RANK_PAGE
        runs = (
            pages[i : i + need]
            for i in range(len(pages) - need + 1)
            if pages[i + need - 1] - pages[i] == wanted - RANK_PAGE
        )
        chosen = next(runs, pages[:need])
        assert len(chosen) == need  # `count * max_rank` columns always leave room for one more
        return tuple(column for page in chosen for column in range(page, page + RANK_PAGE))
