"""Two workers under one name: forbidden, and no reason for a yard to stand still."""

from __future__ import annotations

from tests.unit.conftest import make_advert, make_load

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_schemas.advert import WorkerAdvert
from lorayard_shared.bus.topology import WORKER_TTL_SECONDS

GIVEN = HeldJob(key="k", lease="lease", group="sha256:" + "a" * 8, tenant="t", job="j")


def advert(*, epoch: int, sequence: int = 1) -> WorkerAdvert:
    return make_advert(epoch=epoch, sequence=sequence, load=make_load(epoch=epoch))


def test_the_older_of_two_namesakes_takes_over_when_the_newer_falls_silent() -> None:
    """Its beats keep the key alive, so the newer one's death shows nowhere else."""
    fleet = Fleet("d")
    fleet.on_advert(advert(epoch=1), 0.0)
    fleet.on_advert(advert(epoch=2), 0.0)
    fleet.give("w", [GIVEN])

    assert fleet.on_advert(advert(epoch=1, sequence=2), WORKER_TTL_SECONDS) == ()
    assert fleet.epoch("w") == 2
    assert fleet.on_advert(advert(epoch=1, sequence=3), WORKER_TTL_SECONDS + 0.1) == (GIVEN,)
    assert fleet.epoch("w") == 1


def test_a_hand_over_that_a_restart_cut_off_is_given_back_at_once() -> None:
    """Nobody will answer it, and its time-out and the lease's would cost 20 seconds."""
    fleet = Fleet("d")
    fleet.on_advert(advert(epoch=1), 0.0)
    fleet.give("w", [GIVEN])
    assert fleet.on_advert(advert(epoch=2), 1.0) == (GIVEN,)
