"""The pool of parked jobs (A3): whatever happens to it, no job is lost and none is there twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.unit.conftest import make_taken

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_dispatcher.pool import Pool
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress


def parked(
    key: str,
    *,
    job: str = "j",
    group: str = "",
    priority: int = 2,
    at: float = 1.0,
    deliveries: int = 1,
    deadline: float | None = None,
) -> ParkedJob:
    taken = make_taken(
        key,
        lease=f"lease-{key}-{deliveries}",
        address=JobAddress(lane=tuple(Lane)[priority], tenant="t", adapter=None),
        job=job,
        body=b"{}",
        deliveries=deliveries,
        enqueued_at=at,
        deadline=deadline,
    )
    waiting = WaitingJob(
        key=key, group=group, tenant="t", priority=priority, enqueued_at=at, deadline=deadline
    )
    return ParkedJob(taken=taken, waiting=waiting, adapter=None, rule="base")


class PoolMachine(RuleBasedStateMachine):
    """The pool against a plain dict."""

    def __init__(self) -> None:
        super().__init__()
        self.planner = Planner()
        self.pool = Pool(self.planner)
        self.model: dict[str, ParkedJob] = {}

    @rule(
        key=st.integers(0, 9).map(str),
        group=st.sampled_from(["", "a", "b"]),
        priority=st.integers(0, 3),
        at=st.sampled_from([1.0, 2.0, 3.0]),
        deadline=st.none() | st.sampled_from([5.0, 10.0]),
    )
    def put(self, key: str, group: str, priority: int, at: float, deadline: float | None) -> None:
        deliveries = self.model[key].taken.deliveries + 1 if key in self.model else 1
        new = parked(
            key,
            job=f"j{key}",
            group=group,
            priority=priority,
            at=at,
            deliveries=deliveries,
            deadline=deadline,
        )
        assert self.pool.put(new) == self.model.get(key)
        self.model[key] = new

    @rule(key=st.integers(0, 9).map(str))
    def take(self, key: str) -> None:
        assert self.pool.take(key) == self.model.pop(key, None)

    @rule(now=st.sampled_from([4.0, 5.0, 20.0]))
    def look_for_expired(self, now: float) -> None:
        late = {key for key, one in self.model.items() if one.taken.deadline and one.taken.deadline <= now}
        assert {one.key for one in self.pool.expired(now)} == late

    @rule(key=st.integers(0, 9).map(str))
    def find(self, key: str) -> None:
        assert self.pool.find("t", f"j{key}") == self.model.get(key) == self.pool.get(key)

    @invariant()
    def nothing_is_lost_or_twice(self) -> None:
        self.pool.check()
        queued = [job.key for queue in self.pool.waiting.values() for job in queue]
        assert sorted(queued) == sorted(self.model)
        assert {one.key for one in self.pool} == set(self.model)
        assert len(self.planner) == len(self.model)
        assert len(self.pool) == len(self.model) == sum(self.pool.count(lane) for lane in range(4))


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=40, stateful_step_count=40)


def test_a_queue_is_in_order_of_age_and_ties_go_by_key() -> None:
    pool = Pool(Planner())
    for key, at in (("3", 2.0), ("1", 2.0), ("2", 1.0)):
        pool.put(parked(key, at=at))
    assert [job.key for job in pool.waiting["", 2]] == ["2", "1", "3"]


def test_of_a_job_published_twice_one_is_still_found_when_the_other_is_gone() -> None:
    """Both answer to one name; the one found is there."""
    pool = Pool(Planner())
    pool.put(parked("1"))
    pool.put(parked("2"))
    pool.take("1")
    found = pool.find("t", "j")
    assert found is not None
    assert found.key == "2"


def test_a_name_belongs_to_its_tenant() -> None:
    pool = Pool(Planner())
    pool.put(parked("1"))
    assert pool.find("another", "j") is None


def _lose_a_job(pool: Pool) -> None:
    pool.waiting["", 2].pop()  # type: ignore[attr-defined]  # behind the pool's back


def _turn_the_queue(pool: Pool) -> None:
    pool.waiting["", 2].reverse()  # type: ignore[attr-defined]  # behind the pool's back


@pytest.mark.parametrize("damage", [_lose_a_job, _turn_the_queue])
def test_the_check_finds_books_that_disagree(damage: Callable[[Pool], None]) -> None:
    pool = Pool(Planner())
    pool.put(parked("1"))
    pool.put(parked("2"))
    damage(pool)
    with pytest.raises(AssertionError):
        pool.check()
