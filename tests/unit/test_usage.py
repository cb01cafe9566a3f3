"""Tenants are charged what their jobs really used (B9): once each, whoever gave them out."""

from __future__ import annotations

from collections import Counter

from tests.unit.conftest import make_advert, make_load

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob
from lorayard_dispatcher.usage import Usage
from lorayard_schemas.assignment import MAX_TOLD_TENANTS
from lorayard_workers.service.served_tokens import ServedTokens

CONTEXT_TOKENS = 1000


class Ledger:
    """What was charged; `waiting_tenants` are the test's to say."""

    def __init__(self) -> None:
        self.charged = Counter[str]()
        self.waiting_tenants: set[str] = set()

    def charge(self, tenant: str, tokens: float) -> None:
        self.charged[tenant] += round(tokens)


class Hall:
    """A dispatcher `d` with its books, and workers that report to it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.usage = Usage(self.ledger)
        self.fleet = Fleet("d")
        self._sequence = 0

    @property
    def charged(self) -> dict[str, int]:
        return {tenant: tokens for tenant, tokens in self.ledger.charged.items() if tokens}

    def hear(
        self, worker: str = "w", *, holding: str = "", epoch: int = 1, seen: int = 0, **served: int
    ) -> None:
        self._sequence += 1
        load = make_load(
            worker,
            epoch=epoch,
            number=self._sequence,
            seen={"d": seen},
            holding=tuple(holding),
            served=served,
        )
        advert = make_advert(
            worker,
            epoch=epoch,
            sequence=self._sequence,
            load=load,
            context_tokens=CONTEXT_TOKENS,
            rows_max=1,
        )
        self.fleet.on_advert(advert, 0.0)
        self.look()

    def look(self) -> None:
        self.usage.look(self.fleet.heard())

    def give(self, job: WaitingJob, worker: str = "w") -> int:
        self.usage.handed(worker, job)
        held = HeldJob(key=job.key, lease="l", group=job.group, tenant=job.tenant, job=job.key)
        return self.fleet.give(worker, [held])


def a_job(key: str, tenant: str = "t", tokens: float = 100.0) -> WaitingJob:
    return WaitingJob(key=key, group=BASE_GROUP, tenant=tenant, priority=2, enqueued_at=0.0, tokens=tokens)


def test_a_job_is_charged_as_expected_until_it_has_ended_and_as_it_was_then() -> None:
    hall = Hall()
    hall.hear()
    number = hall.give(a_job("1"))
    hall.hear(holding="1", seen=number)
    assert hall.charged == {"t": 100}
    hall.hear(seen=number, t=730)
    assert hall.charged == {"t": 730}


def test_a_report_that_comes_twice_or_never_changes_nothing() -> None:
    hall = Hall()
    hall.hear()
    first, second = hall.give(a_job("1")), hall.give(a_job("2"))
    hall.hear(seen=second, t=300)  # the report between the two ends was lost
    hall.hear(seen=second, t=300)
    assert first < second
    assert hall.charged == {"t": 300}


def test_what_a_worker_did_before_it_was_met_is_at_nobodys_charge() -> None:
    hall = Hall()
    hall.ledger.waiting_tenants = {"t"}
    hall.hear(t=50_000)
    hall.hear(t=50_100)
    assert hall.charged == {"t": 100}


def test_a_worker_that_was_out_of_reach_goes_on_where_it_was() -> None:
    hall = Hall()
    hall.ledger.waiting_tenants = {"t"}
    hall.hear(t=100)
    hall.fleet.on_death("w", 0.0)
    hall.look()
    hall.hear(t=250)
    assert hall.charged == {"t": 150}


def test_a_worker_that_was_started_anew_counts_from_nothing() -> None:
    hall = Hall()
    hall.ledger.waiting_tenants = {"t"}
    hall.hear(t=100)
    hall.hear(epoch=2)
    hall.hear(epoch=2, t=70)
    assert hall.charged == {"t": 70}


def test_a_tenant_that_its_worker_had_forgotten_is_counted_anew() -> None:
    hall = Hall()
    hall.ledger.waiting_tenants = {"t"}
    hall.hear(t=500)
    hall.hear(u=1)
    hall.hear(t=20)
    hall.hear(t=50)
    assert hall.charged == {"t": 50}


def test_what_other_dispatchers_gave_out_counts_for_tenants_that_wait_here() -> None:
    hall = Hall()
    hall.ledger.waiting_tenants = {"waits"}
    for worker in ("w", "v"):
        hall.hear(worker)
        hall.hear(worker, waits=40, elsewhere=40)
    assert hall.charged == {"waits": 80}


def test_a_job_that_its_worker_died_with_costs_nothing() -> None:
    hall = Hall()
    hall.hear()
    hall.hear(holding="1", seen=hall.give(a_job("1")))
    hall.fleet.on_death("w", 0.0)
    hall.look()
    assert hall.charged == {}


def test_a_job_that_goes_from_worker_to_worker_is_charged_once() -> None:
    hall = Hall()
    hall.hear("w")
    hall.hear("v")
    hall.give(a_job("1"), "w")
    number = hall.give(a_job("1"), "v")
    hall.hear("w", seen=1)
    assert hall.charged == {"t": 100}
    hall.hear("v", seen=number, t=10)
    assert hall.charged == {"t": 10}


def test_a_job_that_came_back_and_was_planned_again_is_charged_once() -> None:
    hall = Hall()
    hall.hear()
    job = a_job("1")
    hall.give(job)
    hall.ledger.charge("t", job.tokens)  # as the planner does
    hall.usage.planned("w", job)
    assert hall.charged == {"t": 100}
    hall.usage.back("1")
    hall.usage.back("1")
    assert hall.charged == {}


def test_a_worker_that_boasts_cannot_shut_a_tenant_out_for_good() -> None:
    hall = Hall()
    hall.ledger.waiting_tenants = {"t"}
    hall.hear()
    hall.hear(t=2**53)
    assert hall.charged == {"t": CONTEXT_TOKENS}


def test_a_worker_tells_so_many_tenants_that_its_reports_stay_small() -> None:
    served = ServedTokens()
    for number in range(MAX_TOLD_TENANTS + 1):
        served.add(f"t{number}", 1)
        served.add("often", 1)
    told = served.told()
    assert len(told) == MAX_TOLD_TENANTS
    assert told["often"] == MAX_TOLD_TENANTS + 1
    assert "t0" not in told
