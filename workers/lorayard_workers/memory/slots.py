"""The books of the device slots: who lies in which columns, and which rows use it.

Only books: the tensors belong to the engine's LoRA groups. One thread at a time (the engine's).
A slot is leased by rows and can be given away only at zero leases, so a running row never sees its
adapter's columns change under it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from lorayard_workers.engine.residency import SlotView
from lorayard_workers.errors import InvariantError
from lorayard_workers.memory.columns import Columns
from lorayard_workers.memory.eviction import Candidate, Usage, Worth, choose_victims
from lorayard_workers.memory.layout import RANK_PAGE, padded_rank
from lorayard_workers.memory.regrets import Regrets

EQUAL_VALUE = 1.0
"""Victims within one doubling of uses, or one half-life of age, count as equally cheap. Measured on random
mixes of ranks 8, 16 and 64: the tight fits that this allows keep a tenth more of the columns in use, for
one percent of hits."""


@dataclass(slots=True, kw_only=True)
class Slot:
    """One resident adapter."""

    digest: str
    columns: Columns
    usage: Usage
    rows: set[Hashable] = field(default_factory=set[Hashable])


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Space for adapters: so many of them, in so many columns."""

    slots: int = 0
    columns: int = 0

    def __add__(self, other: Room) -> Room:
        return Room(slots=self.slots + other.slots, columns=self.columns + other.columns)

    def beyond(self, other: Room) -> Room:
        """What is left of this once the other is taken out, at least nothing."""
        return Room(slots=max(0, self.slots - other.slots), columns=max(0, self.columns - other.columns))

    def holds(self, other: Room) -> bool:
        """Whether the other fits into this."""
        return other.slots <= self.slots and other.columns <= self.columns

    @staticmethod
    def of(ranks: Iterable[int]) -> Room:
        """For adapters of these ranks."""
        widths = [padded_rank(rank) for rank in ranks]
        return Room(slots=len(widths), columns=sum(widths))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared:
    """What a newcomer must leave to others: residents that stay, and free room."""

    digests: frozenset[str] = frozenset()
    room: Room = Room()


@dataclass(slots=True, kw_only=True)
class DeviceSlots:
    """At most `count` adapters in `columns`, which come in pages and need not be neighbours.

    `columns` None: room for `count` adapters of `max_rank` each.
    """

    count: int
    max_rank: int
    columns: int | None = None
    pinned: frozenset[str] = frozenset()
    worth: Worth = field(default_factory=Worth)
    evictions: int = 0
    regrets: Regrets = field(default_factory=Regrets)
    _slots: dict[str, Slot] = field(default_factory=dict[str, Slot])

    @property
    def column_count(self) -> int:
        """Columns that the LoRA groups must provide."""
        return self.count * padded_rank(self.max_rank) if self.columns is None else self.columns

    @property
    def columns_used(self) -> int:
        """Columns that residents have."""
        return sum(len(slot.columns) for slot in self._slots.values())

    @property
    def total(self) -> Room:
        """All there is."""
        return Room(slots=self.count, columns=self.column_count)

    @property
    def free(self) -> Room:
        """What nobody has."""
        return Room(slots=self.count - len(self._slots), columns=self.column_count - self.columns_used)

    def resident(self, digest: str) -> Columns | None:
        """The adapter's columns, if it has a slot."""
        slot = self._slots.get(digest)
        return None if slot is None else slot.columns

    def residents(self) -> Mapping[str, Slot]:
        """All slots by digest; to be read only."""
        return self._slots

    def rows_by_digest(self) -> Mapping[str, int]:
        """Residents and how many rows lease each."""
        return {digest: len(slot.rows) for digest, slot in self._slots.items()}

    def has_room(self, wanted: Room, spared: Spared = Spared()) -> bool:
        """Whether `place` would succeed for all of that now."""
        room = self.free
        for slot in self._slots.values():
            if not slot.rows and slot.digest not in self.pinned and slot.digest not in spared.digests:
                room += Room(slots=1, columns=len(slot.columns))
        return room.holds(wanted + spared.room)

    def place(self, digest: str, rank: int, now: float, spared: Spared = Spared()) -> Columns | None:
        """Take a slot for an adapter, evicting idle ones if need be; None if too much is in use.

        The columns hold former residents' weights until the caller has overwritten them.
        """
        assert digest not in self._slots
        assert rank <= padded_rank(self.max_rank)  # the loader refused anything larger
        victims = self._victims(Room.of([rank]) + spared.room, spared.digests)
        if victims is None:
            return None
        for victim in victims:
            left = self._slots.pop(victim)
            self.regrets.evicted(victim, last_used=left.usage.last_used, now=now)
        self.regrets.placed(digest, now)
        self.evictions += len(victims)
        columns = self._free_columns(padded_rank(rank))
        self._slots[digest] = Slot(
            digest=digest,
            columns=columns,
            usage=Usage(last_used=now),
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
                pinned=slot.digest in self.pinned,
                columns=len(slot.columns),
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

    def check_idle(self) -> None:
        """`check`, and no row holds a lease."""
        self.check()
        leased = {digest: rows for digest, rows in self.rows_by_digest().items() if rows}
        if leased:
            raise InvariantError(f"device slots: leases outlive their rows: {leased}")

    def _victims(self, wanted: Room, spared: frozenset[str]) -> tuple[str, ...] | None:
        missing, doublings = wanted.beyond(self.free), self.worth.doublings
        candidates = [
            Candidate(
                key=slot.digest,
                usage=slot.usage,
                size=len(slot.columns),
                in_use=bool(slot.rows) or slot.digest in spared,
                pinned=slot.digest in self.pinned,
                doublings=doublings.get(slot.digest, 0.0),
            )
            for slot in self._slots.values()
        ]
        return choose_victims(candidates, missing.columns, need_count=missing.slots, tolerance=EQUAL_VALUE)

    def _free_columns(self, wanted: int) -> Columns:
        """The lowest run of free pages that starts at a multiple of its width, so that adapters of one rank
        can run as one batched product; else the lowest run, else the lowest free pages.
        """
        taken = {column for slot in self._slots.values() for column in slot.columns}
        pages = [p for p in range(0, self.column_count, RANK_PAGE) if p not in taken]
        need = wanted // RANK_PAGE
        runs = [
            pages[i : i + need]
            for i in range(len(pages) - need + 1)
            if pages[i + need - 1] - pages[i] == wanted - RANK_PAGE
        ]
        runs.sort(key=lambda run: run[0] % wanted != 0)  # stable: the lowest first
        chosen = runs[0] if runs else pages[:need]
        assert len(chosen) == need  # `place` has made room
        return tuple(column for page in chosen for column in range(page, page + RANK_PAGE))
