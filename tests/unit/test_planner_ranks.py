"""Plans know adapters by rank and size: what they take of the slots, and how long they load (B11)."""

from __future__ import annotations

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st
from tests.unit.conftest import make_residents

from lorayard_dispatcher.planning.planner import Planner, plan
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import Decision, Plan, WaitingJob, WorkerView

NOW = 1000.0
COLUMNS = {"a": 8, "b": 8, "c": 8, "d": 16, "e": 16, "f": 32, "g": 32, "l": 64, "m": 64, "x": 96}


def job(key: str, group: str, *, age: float = 1.0) -> WaitingJob:
    return WaitingJob(key=key, group=group, tenant="t", priority=2, enqueued_at=NOW - age)


def worker(
    name: str = "w1",
    *,
    holds: str = "",
    in_use: str = "",
    pinned: str = "",
    rows: int = 4,
    slots: int = 8,
    columns: int = 64,
    host: str = "abcdefglmx",
    loaded_ago: float = 60.0,
) -> WorkerView:
    """Adapters are single letters; each of those in use has a row, the others were used in their order."""
    return WorkerView(
        worker=name,
        rows=rows + len(in_use),
        room=rows,
        in_flight=len(in_use),
        slots=slots,
        columns=columns,
        resident=make_residents(holds, in_use, pinned, COLUMNS, loaded_at=NOW - loaded_ago),
        host=frozenset(host),
    )


def decide(*jobs: WaitingJob, fleet: tuple[WorkerView, ...], bytes_of: dict[str, int] | None = None) -> Plan:
    return plan(NOW, jobs, fleet, {}, {}, Policy(columns_of=COLUMNS, bytes_of=bytes_of or {}))


def leaving(decision: Decision) -> str:
    evicts = () if decision.evicts is None else (decision.evicts, *decision.evicts_more)
    return "".join(sorted(evicts))


@pytest.mark.parametrize(
    ("fleet", "group", "evicts"),
    [
        pytest.param(worker(holds="a"), "d", "", id="columns are free"),
        pytest.param(worker(holds="abcd", columns=40), "e", "ab", id="two small ones for a wide one"),
        pytest.param(worker(holds="da", columns=24), "b", "d", id="the longest unused leaves, however wide"),
        pytest.param(worker(holds="abcde"), "l", "abcde", id="the widest needs all of them"),
        pytest.param(worker(holds="ad", columns=24), "e", "d", id="the small one would leave in vain"),
        pytest.param(worker(holds="abc", slots=3), "d", "a", id="a slot is short, no column"),
        pytest.param(worker(holds="abcde", columns=0), "l", "", id="only the number of slots counts"),
    ],
)
def test_as_many_leave_as_an_adapter_takes_columns__b11(fleet: WorkerView, group: str, evicts: str) -> None:
    (decision,) = decide(job("1", group), fleet=(fleet,)).decisions
    assert leaving(decision) == evicts


@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(worker(holds="abc", in_use="e"), id="a row needs some of them"),
        pytest.param(worker(holds="abcde", pinned="e"), id="some are pinned"),
        pytest.param(worker(columns=32), id="there are not as many"),
    ],
)
def test_what_is_in_use_or_pinned_or_not_there_is_not_taken__b11(fleet: WorkerView) -> None:
    assert not decide(job("1", "l"), fleet=(fleet,)).decisions


def test_a_wide_adapter_goes_where_it_fits_though_others_are_emptier__b11() -> None:
    fleet = (
        worker("w1", columns=32),
        worker("w2", in_use="a", columns=128),
        worker("w3", columns=0, slots=0),
    )
    (decision,) = decide(job("1", "l"), fleet=fleet).decisions
    assert decision.worker == "w2"


def test_nothing_is_drained_or_fetched_where_an_adapter_never_fits__b11() -> None:
    made = decide(job("1", "l", age=60.0), fleet=(worker(in_use="de", columns=32, host=""),))
    assert (made.drains, made.prefetches) == ((), ())


def test_an_overdue_adapter_has_columns_drained_though_slots_are_free__b11() -> None:
    """Also where all have been loaded a moment ago, so that none is due to take turns."""
    made = decide(job("1", "l", age=60.0), fleet=(worker(in_use="de", loaded_ago=0.5),))
    assert [(drain.adapter, drain.for_group) for drain in made.drains] == [("d", "l")]


def test_two_loads_of_one_plan_do_not_take_the_same_columns__b11() -> None:
    made = decide(job("1", "d"), job("2", "e"), job("3", "l"), fleet=(worker(columns=32),))
    assert sorted(decision.group for decision in made.decisions) == ["d", "e"]


def test_a_load_costs_what_there_is_to_copy__b11() -> None:
    """The worker's loads were measured with adapters of the size that lie in its slots."""
    fleet = (worker(holds="ab", columns=128),)
    sizes = {"a": 1000, "b": 3000, "c": 2000, "l": 16_000}
    (small,) = decide(job("1", "c"), fleet=fleet, bytes_of=sizes).decisions
    (large,) = decide(job("1", "l"), fleet=fleet, bytes_of=sizes).decisions
    (unknown,) = decide(job("1", "d"), fleet=fleet, bytes_of=sizes).decisions
    assert large.cost_seconds == pytest.approx(8 * small.cost_seconds)
    assert unknown.cost_seconds == small.cost_seconds


def test_of_two_adapters_that_release_as_much_the_smaller_is_loaded_first__b11() -> None:
    jobs, fleet = (job("1", "l", age=1.5), job("2", "a")), (worker(rows=1, holds="b", columns=128),)
    sizes = {"a": 1000, "b": 1000, "l": 8000}
    assert decide(*jobs, fleet=fleet, bytes_of=sizes).decisions[0].job == "2"
    assert decide(*jobs, fleet=fleet).decisions[0].job == "1"


def test_one_adapter_after_the_other_is_drained_for_one_that_takes_more__b11() -> None:
    """Else warm work would take the first one's columns again before the second one's are free."""
    planner = Planner(Policy(columns_of=COLUMNS))
    planner.put(job("wide", "l", age=20.0))
    planner.see(worker(in_use="abde"))
    (first,) = planner.plan(NOW).drains
    assert first.for_group == "l"
    drained, decisions = [first.adapter], list[Decision]()
    for step in range(1, 5):
        now = NOW + step / 10
        planner.put(job(f"warm-{step}", drained[-1], age=0.0))
        left = "".join(adapter for adapter in "abde" if adapter not in drained)
        planner.see(worker(holds="".join(drained), in_use=left))
        made = planner.plan(now)
        drained += [drain.adapter for drain in made.drains]
        decisions += made.decisions
    (decision,) = decisions
    assert decision.job == "wide"
    assert sorted(drained) == list("abde")
    assert leaving(decision) == "abde"


def test_what_was_emptied_for_one_that_gets_its_slot_elsewhere_serves_again__b11() -> None:
    """Two wide ones wait, each for a worker of its own; the second worker's first drain is over first."""
    planner = Planner(Policy(columns_of=COLUMNS))
    planner.put(job("wide", "l", age=1.5))
    planner.see(worker("w1", in_use="abde"))
    (first,) = planner.plan(NOW).drains
    left = "abde".replace(first.adapter, "")
    planner.see(worker("w1", holds=first.adapter, in_use=left))
    (second,) = planner.plan(NOW + 0.1).drains
    assert (second.worker, second.for_group) == ("w1", "l")
    planner.put(job("next", "m", age=1.0))
    planner.see(worker("w2", in_use="fg"))
    (other,) = planner.plan(NOW + 0.2).drains
    assert (other.worker, other.for_group) == ("w2", "m")
    planner.see(worker("w2", holds=other.adapter, in_use="fg".replace(other.adapter, "")))
    (swapped,) = planner.plan(NOW + 0.3).drains
    assert (swapped.worker, swapped.for_group) == ("w2", "l")
    planner.put(job("warm", first.adapter, age=0.0))
    assert [(made.job, made.worker) for made in planner.plan(NOW + 0.4).decisions] == [("warm", "w1")]


adapters = st.frozensets(st.sampled_from(sorted(COLUMNS)), max_size=5)


@st.composite
def workers(draw: st.DrawFn, name: str) -> WorkerView:
    columns = draw(st.sampled_from([16, 64, 128]))
    held: list[str] = []
    for adapter in sorted(draw(adapters)):
        if sum(COLUMNS[each] for each in [*held, adapter]) <= columns:
            held.append(adapter)
    used = "".join(adapter for adapter in held if draw(st.booleans()))
    pins = "".join(adapter for adapter in held if draw(st.booleans()))
    rest = "".join(adapter for adapter in held if adapter not in used)
    slots = draw(st.integers(len(held), 6))
    return worker(name, holds=rest, in_use=used, pinned=pins, slots=slots, columns=columns)


@settings(max_examples=200)
@examples(
    st.lists(st.tuples(st.sampled_from(sorted(COLUMNS)), st.sampled_from([0.0, 1.0, 30.0])), max_size=8),
    workers("w1"),
    workers("w2"),
)
def test_no_plan_puts_more_into_slots_than_they_have_columns__b11(
    wanted: list[tuple[str, float]], one: WorkerView, other: WorkerView
) -> None:
    jobs = [job(str(number), group, age=age) for number, (group, age) in enumerate(wanted)]
    there = {
        view.worker: {digest: found.jobs for digest, found in view.resident.items()} for view in (one, other)
    }
    views = {view.worker: view for view in (one, other)}
    for decision in decide(*jobs, fleet=(one, other)).decisions:
        held, view = there[decision.worker], views[decision.worker]
        if decision.load:
            for digest in leaving(decision):
                assert not held.pop(digest), "an adapter in use was evicted"
                assert not (digest in view.resident and view.resident[digest].pinned)
            assert decision.group not in held
            held[decision.group] = 0
        held[decision.group] += 1
        assert len(held) <= view.slots
        assert sum(COLUMNS[digest] for digest in held) <= view.columns
