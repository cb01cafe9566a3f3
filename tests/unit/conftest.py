"""Values that tests of several modules are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lorayard_dispatcher.planning.desk import Desk
from lorayard_dispatcher.planning.values import Resident
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad

BASE_DIGEST = "sha256:" + "0" * 8


def make_load(
    worker: str = "w", *, epoch: int = 1, number: int = 1, room: int = 4, **given: Any
) -> WorkerLoad:
    """A report of a worker with room; `given` are further fields."""
    return WorkerLoad(worker=worker, epoch=epoch, number=number, room=room, **given)


def make_advert(
    worker: str = "w", *, epoch: int = 1, sequence: int = 1, load: WorkerLoad | None = None, **given: Any
) -> WorkerAdvert:
    """An advert of a worker with two slots; its load is numbered like it. `given` are further fields."""
    fields: dict[str, Any] = {"at": 0.0, "context_tokens": 1, "slot_count": 2, **given}
    return WorkerAdvert(
        worker=worker,
        epoch=epoch,
        sequence=sequence,
        engine="E",
        model="m",
        base_digest=BASE_DIGEST,
        load=load or make_load(worker, epoch=epoch, number=sequence),
        **fields,
    )


def make_residents(
    holds: str, in_use: str, pinned: str, columns: Mapping[str, int], *, loaded_at: float
) -> dict[str, Resident]:
    """A worker's adapters, single letters: each of those in use has a row, the others were used in their
    order."""
    return {
        adapter: Resident(
            jobs=int(adapter in in_use),
            pinned=adapter in pinned,
            last_used=float(place),
            loaded_at=loaded_at,
            columns=columns[adapter],
        )
        for place, adapter in enumerate(holds + in_use)
    }


@dataclass(slots=True, kw_only=True)
class PlanLedger:
    """What workers had when a plan began, by name, and what it has made of that so far."""

    rooms: dict[str, int]
    held: dict[str, set[str]]
    used: dict[str, set[str]]
    """In use, or pinned."""
    drains: dict[str, object]

    @classmethod
    def of(cls, desks: Mapping[str, Desk]) -> Self:
        """As it is before the plan."""
        return cls(
            rooms={name: desk.room for name, desk in desks.items()},
            held={name: set(desk.resident) for name, desk in desks.items()},
            used={
                name: {*desk.jobs, *(digest for digest, found in desk.resident.items() if found.pinned)}
                for name, desk in desks.items()
            },
            drains={name: desk.drain for name, desk in desks.items()},
        )

    def take_room(self, worker: str) -> None:
        """One job more."""
        self.rooms[worker] -= 1
        assert self.rooms[worker] >= 0, "a worker got more than its room"

    def check_drain(self, desk: Desk, worker: str, needs: set[str]) -> None:
        """Nothing goes to what was drained before and is still."""
        drain = self.drains[worker]
        still = drain is not None and desk.drain == drain
        assert not (still and desk.drain is not None and desk.drain[0] in needs), "a drained adapter got rows"
