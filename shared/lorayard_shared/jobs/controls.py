"""What the bucket `yard_control` says of jobs, as it was last seen: strikes, pauses and caps (D7, E5).

A dispatcher, a worker and a worker that pulls by itself read it the same way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.control import (
    CAPS,
    PAUSES,
    Cap,
    Controlled,
    Hold,
    Pause,
    cap_key,
    ends_at,
    pause_key,
    thing_of,
)
from lorayard_schemas.job import Lane
from lorayard_schemas.names import BASE
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.strikes import StrikeBook
from lorayard_shared.jobs.watched import read_under


class ControlBook:
    """Strikes, pauses and caps, kept up by a bucket watch. Times are unix seconds."""

    def __init__(self) -> None:
        self.strikes = StrikeBook()
        self._by_key: dict[str, Pause] = {}
        self._paused: dict[str, Pause] = {}
        """Those that are not over, by thing."""
        self._caps: dict[str, Cap] = {}
        """By thing."""
        self._cap_by_key: dict[str, Cap] = {}
        self._own_changes = 0

    @property
    def changes(self) -> int:
        """Since the start."""
        return self.strikes.changes + self._own_changes

    @property
    def holds_any(self) -> bool:
        """Whether anything may keep a job from starting."""
        return bool(self._paused) or bool(self.strikes)

    @property
    def caps_any(self) -> bool:
        """Whether anything is capped."""
        return bool(self._caps)

    @property
    def counted(self) -> frozenset[str]:
        """Things whose jobs workers count: what is paused or capped."""
        return frozenset((*self._paused, *self._caps))

    def on_change(self, key: str, value: bytes | None, now: float) -> bool:
        """Take one change of the bucket; whether something else counts now.

        One that cannot be read leaves what there was: nobody may be let run by a mistake.
        """
        if key.startswith(PAUSES):
            return self._on_pause(key, value, now)
        if key.startswith(CAPS):
            return self._on_cap(key, value)
        return self.strikes.on_change(key, value)

    def lapse(self, now: float) -> bool:
        """Let those go whose time is over; whether there were any."""
        over = [thing for thing, pause in self._paused.items() if pause.is_over(now)]
        for thing in over:
            del self._paused[thing]
        self._own_changes += bool(over)
        return bool(over)

    @property
    def next_end(self) -> float:
        """When the next pause ends by itself; infinity: none does."""
        return min(map(ends_at, self._paused.values()), default=math.inf)

    def paused(self, kind: Controlled, name: str) -> Pause | None:
        """Whether just this is paused."""
        return self._paused.get(thing_of(kind, name)) if self._paused else None

    def paused_lane(self, lane: Lane) -> Pause | None:
        """Whether a whole lane is."""
        return self._paused.get(thing_of(Controlled.LANE, lane)) if self._paused else None

    def cap_of(self, thing: str) -> Cap | None:
        """That of just this."""
        return self._caps.get(thing)

    def hold(self, address: JobAddress, refs: Sequence[AdapterRef | None]) -> Hold | None:
        """What keeps a job of these adapters from starting; None in `refs` is the base model."""
        if self.strikes:
            struck = (self.strikes.find(ref, address.tenant) for ref in refs)
            strike = next((each for each in struck if each is not None), None)
            if strike is not None:
                return strike
        return self.pause(address, refs)

    def pause(self, address: JobAddress, refs: Sequence[AdapterRef | None]) -> Pause | None:
        """The pause that does."""
        if not self._paused:
            return None
        named = (self._paused.get(thing) for thing in things(address, refs))
        return next((pause for pause in named if pause is not None), None)

    def caps(self, address: JobAddress, refs: Sequence[AdapterRef | None]) -> list[Cap]:
        """All caps that a job counts against."""
        if not self._caps:
            return []
        named = (self._caps.get(thing) for thing in things(address, refs))
        return [cap for cap in named if cap is not None]

    def _on_pause(self, key: str, value: bytes | None, now: float) -> bool:
        before, found = self._by_key.get(key), None
        if value is not None:
            found = read_under(key, value, Pause, _pause_key)
            if found is None:
                return False
        if found == before:
            return False
        self._own_changes += 1
        if before is not None:
            del self._by_key[key]
            self._paused.pop(before.thing, None)
        if found is not None:
            self._by_key[key] = found
            if not found.is_over(now):
                self._paused[found.thing] = found
        return True

    def _on_cap(self, key: str, value: bytes | None) -> bool:
        found = read_under(key, value, Cap, _cap_key) if value is not None else None
        if value is not None and found is None:
            return False
        before = self._cap_by_key.pop(key, None)
        if before is not None:
            del self._caps[before.thing]
        if found is not None:
            self._cap_by_key[key] = self._caps[found.thing] = found
        if found == before:
            return False
        self._own_changes += 1
        return True


def things(address: JobAddress, refs: Iterable[AdapterRef | None]) -> Iterator[str]:
    """What a job counts as, in the words of pauses and caps; None in `refs` is the base model."""
    yield thing_of(Controlled.LANE, address.lane)
    yield thing_of(Controlled.TENANT, address.tenant)
    for ref in refs:
        if ref is None:
            yield thing_of(Controlled.ADAPTER, BASE)
        else:
            yield thing_of(Controlled.ADAPTER, ref.name)
            yield thing_of(Controlled.ADAPTER, f"{ref.name}@{ref.version}")


def _pause_key(pause: Pause) -> str:
    return pause_key(pause.kind, pause.name)


def _cap_key(cap: Cap) -> str:
    return cap_key(cap.kind, cap.name)
