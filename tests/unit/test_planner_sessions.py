"""Turns of a session go to the worker that has its conversation, while that costs less than moving (B3)."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType

import pytest

from lorayard_dispatcher.planning.blind import plan_blind
from lorayard_dispatcher.planning.planner import Planner
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import BASE_GROUP, Plan, Resident, WaitingJob, WorkerView
from lorayard_dispatcher.planning.waits import WaitsFor

NOW = 1000.0
URGENT, HIGH, NORMAL, BULK = range(4)


def turn(key: str, *, home: str | None = "w1", moving: float = 2.0, group: str = "a") -> WaitingJob:
    return WaitingJob(
        key=key,
        group=group,
        tenant="t",
        priority=NORMAL,
        enqueued_at=NOW,
        home=home,
        moving_seconds=moving,
    )


def worker(name: str, *, free: int, busy: int = 0, holds: str = "a", slots: int = 2) -> WorkerView:
    """With so many rows free and busy, the latter with the first adapter it holds."""
    return WorkerView(
        worker=name,
        rows=free + busy,
        room=free,
        in_flight=busy,
        slots=slots,
        resident={
            adapter: Resident(jobs=busy * (adapter == holds[0]), loaded_at=NOW - 60) for adapter in holds
        },
        host=frozenset("ab"),
    )


def told(*jobs: WaitingJob, fleet: tuple[WorkerView, ...], policy: Policy | None = None) -> Planner:
    planner = Planner(policy)
    for view in fleet:
        planner.see(view)
    for job in jobs:
        planner.put(job)
    return planner


def given(made: Plan) -> list[str]:
    return [f"{decision.job}:{decision.worker}:{decision.phase}" for decision in made.decisions]


FULL = (worker("w1", free=0, busy=4), worker("w2", free=4))


@pytest.mark.parametrize("group", ["a", BASE_GROUP])
def test_a_turn_goes_to_its_sessions_worker_though_another_is_emptier__b3(group: str) -> None:
    fleet = (worker("w1", free=1, busy=3), worker("w2", free=4))
    assert given(told(turn("1", group=group), fleet=fleet).plan(NOW)) == ["1:w1:session"]


def test_no_worker_gets_turns_past_its_room__b3() -> None:
    """Also where so much waits that workers get jobs to queue behind their rows."""
    planner = told(
        *(turn(str(number)) for number in range(20)), fleet=(worker("w1", free=2, busy=2), FULL[1])
    )
    assert [name.partition(":")[2] for name in given(planner.plan(NOW))].count("w1:session") == 2


def test_a_turn_waits_for_a_row_of_its_worker_and_holds_nobody_up__b3() -> None:
    planner = told(turn("1"), turn("2", home=None), fleet=FULL)
    assert given(planner.plan(NOW)) == ["2:w2:warm"]
    assert len(planner) == 1
    planner.see(worker("w1", free=1, busy=3))
    assert given(planner.plan(NOW + 0.1)) == ["1:w1:session"]
    assert len(planner) == 0


def test_a_turn_waits_no_longer_than_moving_costs__b3() -> None:
    planner = told(turn("1"), fleet=FULL)
    assert given(planner.plan(NOW)) == []
    assert given(planner.plan(NOW + 1.99)) == []
    assert given(planner.plan(NOW + 2.0)) == ["1:w2:warm"]


def test_a_turn_that_moves_cheaply_does_not_wait__b3() -> None:
    assert given(told(turn("1", moving=0.01), fleet=FULL).plan(NOW)) == ["1:w2:warm"]


def test_a_turn_waits_as_any_job_where_nobody_else_has_room__b3() -> None:
    planner = told(turn("1"), fleet=(FULL[0],))
    assert given(planner.plan(NOW)) == []
    planner.see(worker("w2", free=4))
    assert given(planner.plan(NOW + 1.0)) == []
    assert given(planner.plan(NOW + 2.5)) == []  # its patience began when it could have moved
    assert given(planner.plan(NOW + 3.0)) == ["1:w2:warm"]


def test_no_turn_is_kept_back_past_its_bound__b3() -> None:
    planner = told(turn("1", moving=600.0), fleet=FULL)
    assert given(planner.plan(NOW)) == []
    assert given(planner.plan(NOW + 15.0)) == ["1:w2:overdue"]


def test_an_overdue_turn_still_goes_home_if_it_can__b3() -> None:
    fleet = (worker("w1", free=1, busy=3), worker("w2", free=4))
    assert given(told(turn("1"), fleet=fleet).plan(NOW + 20.0)) == ["1:w1:overdue"]


def test_when_its_worker_dies_a_turn_moves_at_once__b3() -> None:
    planner = told(turn("1", moving=600.0), fleet=FULL)
    assert given(planner.plan(NOW)) == []
    planner.lose("w1")
    assert given(planner.plan(NOW + 0.01)) == ["1:w2:warm"]


def test_a_worker_that_is_gone_is_nobodys_home__b3() -> None:
    assert given(told(turn("1", home="gone"), fleet=(FULL[1],)).plan(NOW)) == ["1:w2:warm"]


def test_a_worker_that_has_lost_the_adapter_is_no_home_any_more__b3() -> None:
    """What its cache holds is of that adapter: a load would cost as much as moving."""
    fleet = (worker("w1", free=4, holds="b"), worker("w2", free=4))
    assert given(told(turn("1"), fleet=fleet).plan(NOW)) == ["1:w2:warm"]


def test_a_turn_is_let_go_when_its_worker_loses_the_adapter_meanwhile__b3() -> None:
    planner = told(turn("1", moving=600.0), fleet=FULL)
    assert given(planner.plan(NOW)) == []
    planner.see(worker("w1", free=4, holds="b"))
    assert given(planner.plan(NOW + 0.01)) + given(planner.plan(NOW + 0.02)) == ["1:w2:warm"]


def test_a_freed_row_goes_to_the_more_urgent__b3() -> None:
    planner = told(turn("1", moving=600.0), fleet=FULL)
    assert given(planner.plan(NOW)) == []
    planner.see(worker("w2", free=0, busy=4))
    planner.put(replace(turn("2", home=None), priority=URGENT))
    assert given(planner.plan(NOW + 0.1)) == []
    planner.see(worker("w1", free=1, busy=3))
    assert given(planner.plan(NOW + 0.2)) == ["2:w1:warm"]


def test_the_last_row_of_a_large_worker_is_for_its_turns__b3() -> None:
    """It is kept from tenants past their share only."""
    planner = told(turn("1"), fleet=(worker("w1", free=0, busy=16), FULL[1]))
    assert given(planner.plan(NOW)) == []
    planner.see(worker("w1", free=1, busy=15))
    assert given(planner.plan(NOW + 0.1)) == ["1:w1:session"]


def test_no_more_turns_are_kept_back_than_their_worker_has_rows__b3() -> None:
    planner = told(*(turn(str(number)) for number in range(6)), fleet=FULL)
    assert given(planner.plan(NOW)) == ["4:w2:warm", "5:w2:warm"]
    assert len(planner) == 4


def test_turns_of_a_tenant_past_its_share_go_home_only_into_rows_nobody_else_can_use__b3() -> None:
    policy = Policy(quantum_tokens=100.0)
    planner = told(turn("1", moving=600.0), fleet=FULL, policy=policy)
    assert given(planner.plan(NOW)) == []
    planner.charge("t", 5000.0)
    planner.put(replace(turn("2", home=None), tenant="u"))
    planner.put(replace(turn("3", home=None), tenant="u"))
    planner.lose("w2")
    planner.see(worker("w1", free=1, busy=3))
    assert given(planner.plan(NOW + 0.1)) == ["2:w1:warm"]
    planner.see(worker("w1", free=3, busy=1))
    assert given(planner.plan(NOW + 0.2)) == ["3:w1:warm", "1:w1:session"]


def test_a_further_copy_of_an_adapter_does_not_take_turns_from_their_worker__b3() -> None:
    fleet = (worker("w1", free=0, busy=4), worker("w2", free=4, holds="b"))
    jobs = [turn(str(number), home=None) for number in range(3)] + [turn("9", moving=600.0)]
    made = told(*jobs, fleet=fleet).plan(NOW)
    assert given(made) == ["0:w2:spill", "1:w2:spill", "2:w2:spill"]


def test_a_turn_that_is_kept_back_can_be_taken_and_replaced__b3() -> None:
    planner = told(turn("1"), turn("2"), fleet=FULL)
    planner.plan(NOW)
    assert planner.take("1") == turn("1")
    assert planner.take("1") is None
    planner.put(turn("2", home=None))
    assert len(planner) == 1
    assert given(planner.plan(NOW + 0.1)) == ["2:w2:warm"]


def test_a_clock_that_is_set_back_keeps_no_turn_back__b3() -> None:
    planner = told(turn("1"), fleet=FULL)
    planner.plan(NOW)
    assert given(planner.plan(NOW - 3600.0)) == ["1:w2:warm"]


def test_a_plan_costs_no_more_for_turns_that_wait__b3() -> None:
    """Counted in calls, so that no clock is asked: with fifty times the turns, hardly more."""

    def calls(turns: int) -> int:
        planner = told(*(turn(str(number)) for number in range(turns)), fleet=(FULL[0], worker("w2", free=1)))
        planner.plan(NOW)
        planner.see(worker("w1", free=1, busy=3))
        counted = 0

        def count(_frame: FrameType, event: str, _arg: object) -> None:
            nonlocal counted
            counted += event == "call"

        sys.setprofile(count)
        try:
            made = planner.plan(NOW + 0.01)
        finally:
            sys.setprofile(None)
        assert given(made) == ["0:w1:session"]
        return counted

    assert calls(1000) <= 1.2 * calls(20)


def test_why_says_which_worker_and_until_when__b3() -> None:
    planner = told(turn("1"), fleet=FULL)
    planner.plan(NOW)
    wait = planner.why("1", NOW)
    assert wait is not None
    assert (wait.waits_for, wait.worker, wait.until) == (WaitsFor.HOME, "w1", NOW + 2.0)


def test_without_sight_a_turn_goes_home_while_its_worker_is_not_overloaded__b3() -> None:
    def places(home: str | None, *, full: bool = False) -> str:
        fleet = [worker(name, free=4) for name in ("w1", "w2", "w3")]
        if full:
            fleet = [worker("w1", free=1, busy=9), *fleet[1:]]
        made = plan_blind({("a", NORMAL): [turn("1", home=home)]}, fleet, Policy())
        return made.decisions[0].worker

    assert [places(home) for home in ("w1", "w2", "w3")] == ["w1", "w2", "w3"]
    assert places("gone") == places(None)
    assert places("w1", full=True) != "w1"
