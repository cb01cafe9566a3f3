"""Which residents give up their place for adapters that were wanted for too long. Pure.

A request whose adapters find no room is skipped, not waited for; so it could be skipped for ever while
others keep the slots busy, above all when it needs many columns among small neighbours. Past an age it
claims residents: nobody new may use those, their rows end within their token limits, and what they free
goes to no one else. The longest waiting claims first; every claim is met in bounded time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lorayard_workers.memory.slots import Room, Spared

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Adapters that a row needs in slots together; `missing` is the room for those without one."""

    parts: Parts
    missing: Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A resident that may have to leave: not a pinned one."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is kept for one want: residents that drain, and free room."""

    residents: frozenset[str]
    room: Room


Claims = Mapping[Parts, Claim]


def plan_claims(
    aged: Iterable[Want], holders: Mapping[str, Holder], free: Room, previous: Claims
) -> dict[Parts, Claim]:
    """`aged`: wanted for too long, longest first. Wants that must wait for earlier ones claim nothing yet.

    A choice once made is kept, so that residents cannot take turns in draining and refilling.
    """
    claims: dict[Parts, Claim] = {}
    open_holders = dict(holders)
    kept_parts: set[str] = set()
    for want in aged:
        if want.parts in claims:
            continue
        if any(part in claim.residents for claim in claims.values() for part in want.parts):
            continue  # a part of it is on its way out for an earlier one
        kept_parts.update(want.parts)
        movable = {d: held for d, held in open_holders.items() if d not in kept_parts}
        before = previous[want.parts].residents if want.parts in previous else frozenset[str]()
        chosen = _cover(want.missing.beyond(free), movable, before)
        if chosen is None:
            break  # those behind must not take what this one needs next
        taken = Room(
            slots=min(free.slots, want.missing.slots), columns=min(free.columns, want.missing.columns)
        )
        claims[want.parts] = Claim(residents=chosen, room=taken)
        free = free.beyond(taken)
        for digest in chosen:
            del open_holders[digest]
    return claims


def draining(claims: Claims) -> frozenset[str]:
    """Residents that take no new rows."""
    return frozenset(digest for claim in claims.values() for digest in claim.residents)


def spared_for_others(claims: Claims, parts: Parts) -> Spared:
    """What a newcomer that needs `parts` must leave alone: its own, and what others have claimed."""
    others = [(key, claim) for key, claim in claims.items() if key != parts]
    digests = {digest for key, claim in others for digest in (*key, *claim.residents)}
    room = sum((claim.room for _, claim in others), Room())
    return Spared(digests=frozenset(digests.union(parts)), room=room)


def _cover(short: Room, holders: Mapping[str, Holder], before: frozenset[str]) -> frozenset[str] | None:
    """Residents that free enough: earlier choices first, then the fewest rows, as those end soonest."""
    order = sorted(holders, key=lambda d: (d not in before, holders[d].rows, d))
    chosen: list[str] = []
    room = Room()
    for digest in order:
        if room.holds(short):
            break
        chosen.append(digest)
        room += Room(slots=1, columns=holders[digest].columns)
    if not room.holds(short):
        return None
    for digest in sorted(chosen, key=lambda d: (-holders[d].rows, d)):  # the busiest are let go first
        less = room.beyond(Room(slots=1, columns=holders[digest].columns))
        if less.holds(short):
            chosen.remove(digest)
            room = less
    return frozenset(chosen)
