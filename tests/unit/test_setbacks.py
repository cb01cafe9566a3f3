"""A wrong view costs a message, never a job: refused jobs are planned again twice, then go home (B6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.unit.conftest import make_advert, make_load, make_taken

from lorayard_dispatcher.advert_reading import SHOWN, AdvertReader, read_advert
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.interruptions import Interruptions, Noted
from lorayard_dispatcher.known_worker import (
    LAPSES_FORGOTTEN_SECONDS,
    MOST_REST_SECONDS,
    REST_SECONDS,
    KnownWorker,
)
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.blind import by_rendezvous
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob
from lorayard_dispatcher.setbacks import Setbacks
from lorayard_dispatcher.whereabouts import Whereabouts
from lorayard_schemas.advert import SlotAdvert, WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.codec import encode
from lorayard_schemas.errors import MalformedMessageError

EPOCH = 1


def advert(
    worker: str = "w",
    *,
    holding: tuple[str, ...] = (),
    epoch: int = EPOCH,
    sequence: int = 1,
    load_of: str = "",
    load_epoch: int = 0,
    room: int = 4,
) -> WorkerAdvert:
    load = make_load(
        load_of or worker, epoch=load_epoch or epoch, number=sequence, room=room, holding=holding
    )
    slots = (SlotAdvert(digest="sha256:" + "a" * 8),)
    return make_advert(worker, epoch=epoch, sequence=sequence, load=load, slots=slots)


def parked(group: str = BASE_GROUP) -> ParkedJob:
    taken = make_taken("k", lease="lease", subject="yard.jobs.normal.t._", job="j")
    waiting = WaitingJob(key="k", group=group, tenant="t", priority=2, enqueued_at=0.0)
    return ParkedJob(taken=taken, waiting=waiting, adapter=None, rule="base")


class Yard:
    """The parts around setbacks, with two workers."""

    def __init__(self, *adverts: WorkerAdvert) -> None:
        self.fleet = Fleet("d")
        for one in adverts or (advert("v"), advert("w")):
            self.fleet.on_advert(one, 0.0)
        self.whereabouts = Whereabouts()
        self.interruptions = Interruptions()
        self.written: list[Sequence[Noted]] = []
        self.setbacks = Setbacks(self.fleet, self.whereabouts, self.interruptions, write=self.written.append)

    def again(self) -> str | None:
        """The job comes a second time."""
        return self.setbacks.redelivered(replace(parked().taken, deliveries=2), 0.0)


# ---- refused


def test_a_job_refused_twice_is_forced_to_the_home_of_its_adapter_and_then_planned_anew() -> None:
    yard, job, told = Yard(), parked("sha256:" + "b" * 8), list[str | None]()
    for _ in range(6):
        job = job.after_refusal()
        told.append(yard.setbacks.refused(job, Policy(), 0.0))
    views = yard.fleet.views(0.0, 0.0)
    home = by_rendezvous(job.waiting.group, views, Policy())[0].worker
    assert told == [None, home, None, None, home, None]
    assert yard.setbacks.forced == 2


def test_only_a_forced_job_says_so() -> None:
    job = parked()
    assert [job.assigned(0.0)["force"], job.after_refusal().assigned(0.0)["force"]] == [False, False]
    assert job.after_refusal().after_refusal().assigned(0.0)["force"]


def test_a_full_worker_may_be_the_home_and_a_stopping_one_may_not() -> None:
    job = parked().after_refusal().after_refusal()
    assert Yard(advert("w", room=0)).setbacks.refused(job, Policy(), 0.0) == "w"
    stopping = advert("w")
    stopping = stopping.model_copy(update={"load": stopping.load.model_copy(update={"draining": True})})
    assert Yard(stopping).setbacks.refused(job, Policy(), 0.0) is None


def test_a_home_has_the_base_model_of_the_adapter() -> None:
    job = parked("sha256:" + "b" * 8).after_refusal().after_refusal()
    assert Yard().setbacks.refused(job, Policy(base_of={job.waiting.group: "sha256:" + "1" * 8}), 0.0) is None


def test_a_home_is_wide_enough_for_the_adapter__b11() -> None:
    job = parked("sha256:" + "b" * 8).after_refusal().after_refusal()
    fleet = (advert("v"), advert("w"))
    narrow, wide = (
        one.model_copy(update={"columns_total": n}) for one, n in zip(fleet, (8, 64), strict=True)
    )
    columns_of = {job.waiting.group: 32}
    assert Yard(narrow, wide).setbacks.refused(job, Policy(columns_of=columns_of), 0.0) == "w"
    assert Yard(narrow).setbacks.refused(job, Policy(columns_of=columns_of), 0.0) is None


# ---- let go


def test_a_worker_that_still_holds_what_came_again_gets_its_new_lease_once() -> None:
    """After an outage of the bus: run elsewhere, it would run twice."""
    yard = Yard(advert("w", holding=("k",)))
    yard.whereabouts.note(["k"], "w", EPOCH)
    assert yard.again() == "w"
    assert not yard.interruptions.times("k")


def test_a_worker_that_lets_its_lease_run_out_again_rests_and_the_job_goes_elsewhere() -> None:
    """It accepts, says that it holds, and never renews."""
    yard = Yard(advert("w", holding=("k",)), advert("v"))
    yard.whereabouts.note(["k"], "w", EPOCH)
    yard.whereabouts.note(["k"], "w", EPOCH)
    assert yard.again() is None
    assert [view.worker for view in yard.fleet.views(0.1, 0.0)] == ["v"]
    assert yard.interruptions.times("k") == 1
    assert yard.again() is None
    assert yard.interruptions.times("k") == 1, "nobody has it now, so nobody lets it go"


def test_a_worker_that_says_nothing_of_a_job_it_accepted_rests() -> None:
    yard = Yard()
    yard.whereabouts.note(["k"], "w", EPOCH)
    assert yard.again() is None
    assert [view.worker for view in yard.fleet.views(0.1, 0.0)] == ["v"]


def test_a_job_that_was_let_go_is_not_its_workers_when_that_dies() -> None:
    """It would be counted twice, and a lease taken back that another may hold by now."""
    yard = Yard(advert("w"))
    yard.fleet.give("w", [HeldJob(key="k", lease="old", group="", tenant="t", job="j")])
    yard.whereabouts.note(["k"], "w", EPOCH)
    assert yard.again() is None
    assert yard.fleet.on_death("w", 1.0) == ()


def test_a_worker_that_is_in_trouble_gets_nothing() -> None:
    well, ill = advert("v"), advert("w").model_copy(update={"trouble": "its engine hangs"})
    assert [view.worker for view in Yard(well, ill).fleet.views(0.0, 0.0)] == ["v"]


def test_a_worker_that_lets_leases_run_out_again_and_again_rests_longer() -> None:
    worker, now, rests = KnownWorker.met(advert(), 0.0), 0.0, list[float]()
    for _ in range(8):
        worker.rest_after_lapse(now)
        worker.rest_after_lapse(now)  # several at once are one
        rests.append(worker.rests_until - now)
        now = worker.rests_until + REST_SECONDS
    assert rests == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MOST_REST_SECONDS, MOST_REST_SECONDS]
    worker.rest_after_lapse(now + LAPSES_FORGOTTEN_SECONDS)
    assert worker.rests_until == now + LAPSES_FORGOTTEN_SECONDS + REST_SECONDS


def test_a_new_life_of_the_worker_is_not_blamed() -> None:
    yard = Yard(advert("w", epoch=EPOCH + 1))
    yard.whereabouts.note(["k"], "w", EPOCH)
    assert yard.again() is None
    assert yard.fleet.views(0.1, 0.0)
    assert (yard.setbacks.lapsed, yard.interruptions.times("k")) == (0, 0)


def test_a_job_that_nobody_accepted_is_just_planned() -> None:
    yard = Yard()
    assert yard.again() is None
    assert len(yard.fleet.views(0.1, 0.0)) == 2


# ---- adverts that are not to be believed


def test_an_advert_is_read_under_its_own_key_only() -> None:
    """Under another's it could take that worker's jobs away."""
    assert read_advert("w", encode(advert("w"))).worker == "w"
    with pytest.raises(MalformedMessageError, match=r"worker: 'w' stands under the key of 'v'"):
        read_advert("v", encode(advert("w")))


@pytest.mark.parametrize("lie", [advert(load_of="v"), advert(load_epoch=9)])
def test_a_load_of_another_worker_or_another_life_is_not_read(lie: WorkerAdvert) -> None:
    with pytest.raises(MalformedMessageError, match="load: is of"):
        read_advert("w", encode(lie))


NUMBERS = {
    "at": math.nan,
    "load_ms_host": math.nan,
    "load_ms_disk": -1.0,
    "epoch": 2**63,
    "sequence": -1,
    "slot_count": -1,
    "rows_max": -4,
    "slots": (SlotAdvert.model_construct(digest="sha256:" + "a" * 8, last_used=math.inf),),
    "load": WorkerLoad.model_construct(worker="w", epoch=EPOCH, number=1, seen={}, room=-1, holding=()),
}


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_that_is_none_or_below_nothing_is_refused_by_its_field__g3(field: str) -> None:
    """A planner compares them: one that is no number would spoil every plan."""
    with pytest.raises(MalformedMessageError) as raised:
        read_advert("w", encode(advert().model_copy(update={field: NUMBERS[field]})))
    assert raised.value.field.split(".")[0] == field


def test_what_is_not_believed_is_said_once_and_shown_until_it_is_mended() -> None:
    reader = AdvertReader()
    for key in range(SHOWN + 5):
        assert reader.read(f"k{key:03}", b"?") is None
    assert len(reader.trouble) == SHOWN
    assert "a map is needed, got int" in reader.trouble["k000"]
    reader.forget("k000")
    assert "k000" not in reader.trouble
    assert reader.read("w", b"") is None
    assert reader.read("w", encode(advert())) is not None
    assert "w" not in reader.trouble


# ---- handed back


def test_a_job_that_a_stopping_worker_hands_back_counts_against_nobody__g1() -> None:
    """However often the fleet is started anew while it runs."""
    yard = Yard()
    for sequence in range(2, 9):
        yard.whereabouts.note(["k"], "w", EPOCH)
        report = make_load("w", epoch=EPOCH, number=sequence).model_copy(update={"draining": True})
        yard.fleet.on_load(report, 0.0)
        assert yard.again() is None
    assert yard.interruptions.times("k") == 0
    assert (yard.setbacks.lapsed, yard.whereabouts.get("k")) == (0, None)
