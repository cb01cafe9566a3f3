"""Leases handed on, renewed, lost and acked late: no job is lost, and none is answered twice (E3, G1)."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.unit.lease_protocol.conftest import ACK_WAIT_SECONDS, MOST_DEATHS, Flaw, Holder, World

from lorayard.testing.memory_queue import Place
from lorayard_schemas.state import JobState

JOBS = st.sampled_from(["a", "b", "c"])
OUTCOMES = st.sampled_from(["succeeded", "engine_error", "bad_prompt"])
SEARCH = settings(
    max_examples=3000,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    print_blob=False,
)
"""For a fault that is there: by the same examples each time, and no smaller one is looked for."""


class Leases(RuleBasedStateMachine):
    """Anybody takes any step, and dies before the next."""

    flaw: Flaw | None = None

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.flaw)

    def _holders(self) -> list[Holder]:
        return [each for each in (*self.world.dispatchers, *self.world.workers) if each.held]

    def _at(self, data: st.DataObject, holders: list[Holder]) -> tuple[Holder, Place]:
        holder = data.draw(st.sampled_from([each for each in holders if each.held]))
        return holder, data.draw(st.sampled_from(sorted(holder.held)))

    def _in(self, *states: JobState, ended: bool = False) -> list[tuple[Holder, Place]]:
        return [
            (worker, place)
            for worker in self.world.workers
            for place, held in sorted(worker.held.items())
            if held.state in states and bool(held.outcome) == ended
        ]

    @rule(job=JOBS)
    def submit(self, job: str) -> None:
        """Now or again."""
        self.world.submit(job)

    @rule(job=JOBS, dies_between=st.booleans())
    def cancel(self, job: str, dies_between: bool) -> None:
        """Wherever it is; a job that never was may be cancelled too."""
        if job in self.world.accepted:
            self.world.cancel(job, dies_between=dies_between)

    @rule(number=st.integers(0, 1))
    def pull(self, number: int) -> None:
        """By either dispatcher."""
        self.world.pull(self.world.dispatchers[number])

    @precondition(lambda self: any(each.held for each in self.world.dispatchers))
    @rule(data=st.data(), number=st.integers(0, 1), is_answered=st.booleans())
    def hand_over(self, data: st.DataObject, number: int, is_answered: bool) -> None:
        """To either worker."""
        dispatcher, place = self._at(data, self.world.dispatchers)
        self.world.hand_over(dispatcher, place, self.world.workers[number], is_answered=is_answered)

    @precondition(lambda self: self._in(JobState.ASSIGNED))
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """A row."""
        self.world.begin(*data.draw(st.sampled_from(self._in(JobState.ASSIGNED))))

    @precondition(lambda self: self._in(JobState.RUNNING))
    @rule(data=st.data(), outcome=OUTCOMES)
    def end(self, data: st.DataObject, outcome: str) -> None:
        """A row."""
        self.world.end(*data.draw(st.sampled_from(self._in(JobState.RUNNING))), outcome)

    @rule(job=JOBS, number=st.integers(0, 1), outcome=OUTCOMES)
    def run_one(self, job: str, number: int, outcome: str) -> None:
        """Several steps at once, so that most histories come as far as an end."""
        self.world.submit(job)
        dispatcher, worker = self.world.dispatchers[number], self.world.workers[number]
        self.world.pull(dispatcher)
        for place in list(dispatcher.held):
            self.world.hand_over(dispatcher, place, worker, is_answered=True)
        for _, place in [each for each in self._in(JobState.ASSIGNED) if each[0] is worker]:
            self.world.begin(worker, place)
        for _, place in [each for each in self._in(JobState.RUNNING) if each[0] is worker]:
            self.world.end(worker, place, outcome)

    @precondition(lambda self: self._in(JobState.RUNNING, ended=True))
    @rule(data=st.data(), is_lost=st.booleans())
    def say(self, data: st.DataObject, is_lost: bool) -> None:
        """Store, schedule or ack."""
        worker, place = data.draw(st.sampled_from(self._in(JobState.RUNNING, ended=True)))
        self.world.say(worker, place, is_lost=is_lost)

    @precondition(lambda self: self._holders())
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """Sound, or what is somebody else's by now."""
        self.world.give_back(*self._at(data, self._holders()))

    @precondition(lambda self: self._holders())
    @rule(data=st.data())
    def fall_silent(self, data: st.DataObject) -> None:
        """As one that hangs and comes back."""
        self.world.fall_silent(*self._at(data, self._holders()))

    @precondition(lambda self: self._holders())
    @rule(data=st.data(), is_seen=st.booleans())
    def die(self, data: st.DataObject, is_seen: bool) -> None:
        """Of kill -9."""
        self.world.die(data.draw(st.sampled_from(self._holders())), is_seen=is_seen)

    @rule(seconds=st.sampled_from([1.0, ACK_WAIT_SECONDS / 2, ACK_WAIT_SECONDS, 130.0]), renews=st.booleans())
    def pass_time(self, seconds: float, renews: bool) -> None:
        """With renewals, or without."""
        if renews:
            for holder in self._holders():
                self.world.renew(holder)
        self.world.pass_time(seconds)

    @invariant()
    def holds(self) -> None:
        """After every step."""
        self.world.check()

    def teardown(self) -> None:
        """Once nobody fails any more, all comes to its end."""
        self.world.settle()


TestLeases = Leases.TestCase
TestLeases.settings = settings(stateful_step_count=30)


@pytest.mark.parametrize("flaw", list(Flaw))
def test_a_protocol_that_is_wrong_is_found_so__e3__g1(flaw: Flaw) -> None:
    """Else the machine would look at nothing."""
    flawed = type("FlawedLeases", (Leases,), {"flaw": flaw})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(flawed, settings=SEARCH)


# ---- what the machine has found in protocols that were wrong, step by step


def _given(world: World, worker: int = 0) -> tuple[Holder, Place]:
    """One job at a worker, run to its end."""
    world.submit("a")
    dispatcher, taker = world.dispatchers[0], world.workers[worker]
    world.pull(dispatcher)
    (place,) = dispatcher.held
    world.hand_over(dispatcher, place, taker, is_answered=True)
    world.begin(taker, place)
    return taker, place


def test_a_worker_that_dies_between_its_result_and_its_ack_leaves_a_job_that_only_wants_an_ack__g1() -> None:
    world = World()
    worker, place = _given(world)
    world.end(worker, place, "succeeded")
    world.say(worker, place, is_lost=False)
    world.die(worker, is_seen=False)
    world.pass_time(ACK_WAIT_SECONDS)
    world.settle()
    assert world.runs == {("a", 1): 1}, "it did not run again"


def test_one_that_hung_and_answers_late_is_one_answer_too_many_and_ends_the_job_for_all__g1() -> None:
    world = World()
    slow, place = _given(world)
    world.pass_time(ACK_WAIT_SECONDS)
    other = world.workers[1]
    world.pull(world.dispatchers[0])
    world.hand_over(world.dispatchers[0], place, other, is_answered=True)
    world.begin(other, place)
    world.end(other, place, "succeeded")
    world.end(slow, place, "bad_prompt")
    for worker in (other, slow):
        world.say(worker, place, is_lost=False)
    assert world.result("a") == b"succeeded", "who came first"
    world.say(slow, place, is_lost=False)
    world.check()
    world.settle()


def test_an_attempt_whose_schedule_was_not_answered_is_scheduled_once__e3() -> None:
    world = World()
    worker, place = _given(world)
    world.end(worker, place, "engine_error")
    world.say(worker, place, is_lost=True)
    world.pass_time(5.0)  # the schedule has come due meanwhile
    world.say(worker, place, is_lost=False)
    assert len(world.server.stream("delayed")) == 1, "the one that is due"
    world.settle()
    assert world.runs == {("a", 1): 1, ("a", 2): 1}


def test_a_cancel_whose_sender_dies_ends_the_job_all_the_same__e4__g1() -> None:
    world = World()
    world.submit("a")
    world.cancel("a", dies_between=True)
    assert world.lies_anywhere("a")
    world.settle()
    assert world.result("a") == b"cancelled"


def test_a_job_that_ends_its_workers_is_answered_after_as_many_deaths__g2() -> None:
    world = World()
    world.submit("a")
    for _ in range(MOST_DEATHS):
        dispatcher, worker = world.dispatchers[0], world.workers[0]
        world.pull(dispatcher)
        (place,) = dispatcher.held
        world.hand_over(dispatcher, place, worker, is_answered=True)
        world.begin(worker, place)
        world.die(worker, is_seen=True)
    world.settle()
    assert world.result("a") == b"poison"
    assert world.runs == {("a", 1): MOST_DEATHS}
