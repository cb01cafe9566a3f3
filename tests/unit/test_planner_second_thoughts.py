"""What was decided or told before, and holds no longer when its turn comes."""

from __future__ import annotations

from lorayard_dispatcher.planning.planner import Planner, plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Plan, Resident, WaitingJob, WorkerView

NOW = 1000.0
NORMAL = 2


def job(
    key: str,
    group: str,
    *,
    age: float = 1.0,
    tenant: str = "t",
    tokens: float = 100.0,
    left: float | None = None,
) -> WaitingJob:
    return WaitingJob(
        key=key,
        group=group,
        tenant=tenant,
        priority=NORMAL,
        enqueued_at=NOW - age,
        tokens=tokens,
        deadline=None if left is None else NOW + left,
    )


def worker(*, used: str = "", holds: str = "", lacks: str = "", rows: int = 6) -> WorkerView:
    return WorkerView(
        worker="w1",
        rows=rows,
        room=rows - len(used),
        in_flight=len(used),
        slots=2,
        resident={
            adapter: Resident(jobs=int(adapter in used), loaded_at=NOW - 60) for adapter in used + holds
        },
        host=frozenset("abcd"),
        lacks=frozenset(lacks),
    )


def given(made: Plan) -> list[str]:
    return [f"{decision.job}:{decision.phase}" for decision in made.decisions]


def drained(policy: Policy | None = None) -> tuple[Planner, str, str]:
    """A planner that drains one of two adapters for a third, the one drained and the one kept."""
    planner = Planner(policy)
    planner.put(job("1", "c", age=16))
    planner.see(worker(used="ab"))
    (drain,) = planner.plan(NOW).drains
    return planner, drain.adapter, "ab".replace(drain.adapter, "")


def test_a_slot_drained_for_an_adapter_that_the_worker_turns_out_to_lack_is_given_back() -> None:
    planner, old, kept = drained()
    planner.put(job("2", old))
    planner.see(worker(used=kept, holds=old, lacks="c"))
    assert given(planner.plan(NOW + 0.1)) == ["2:warm"]


def test_a_slot_drained_for_tenants_now_past_their_share_is_given_back() -> None:
    planner, old, kept = drained()
    planner.charge("t", 9000.0)
    planner.put(job("2", old, tenant="modest"))
    planner.charge("modest", -9000.0)
    planner.see(worker(used=kept, holds=old))
    made = planner.plan(NOW + 0.1)
    assert given(made) == ["2:warm"]


def test_an_adapter_that_loads_before_it_have_put_past_its_share_is_loaded_where_all_is_idle() -> None:
    """And the worker is told: a load without a job would be known to nobody but the planner."""
    jobs = [
        job("1", "a", age=3, tokens=900.0),
        job("2", "b", age=2, tokens=900.0),
        job("3", "nowhere", tenant="u"),
    ]
    policy = Policy(quantum_tokens=500.0, base_of={"nowhere": "another"})
    made = plan(NOW, jobs, [worker()], {}, {}, policy)
    assert given(made) == ["1:load", "2:conserve"]
    assert all(decision.load for decision in made.decisions)


def test_a_tenant_whose_job_nobody_can_serve_keeps_no_other_waiting__b9() -> None:
    planner = Planner(Policy(quantum_tokens=500.0, base_of={"nowhere": "another"}))
    planner.put(job("stuck", "nowhere", tenant="u"))
    for number in range(40):
        planner.put(job(f"{number}", "abcd"[number % 4]))
        planner.see(worker())
        assert len(planner.plan(NOW + number).decisions) == 1


def test_the_deadline_of_a_job_that_was_replaced_makes_the_new_one_no_sooner_due() -> None:
    planner = Planner()
    planner.put(job("1", "a", left=3.0))
    planner.put(job("1", "a", left=600.0))
    planner.put(job("2", "b", age=2))
    planner.see(worker(used="d", holds="b", rows=2))
    assert given(planner.plan(NOW)) == ["2:warm"]


def test_the_age_of_a_job_that_was_replaced_makes_the_new_one_no_older() -> None:
    planner = Planner()
    planner.put(job("0", "b", age=8, tenant="u"))
    planner.put(job("1", "b", age=5))
    planner.put(job("1", "b", age=1))
    planner.put(job("2", "b", age=3, tenant="v"))
    planner.take("0")
    planner.see(worker(used="d", holds="b", rows=2))
    assert given(planner.plan(NOW)) == ["2:warm"]
