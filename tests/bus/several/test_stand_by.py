"""Several dispatchers, one seat: one is active, the others stand by and replace it when it falls silent."""

from __future__ import annotations

import signal
import time

import pytest
from tests.bus.several.conftest import SeveralYard

from lorayard_schemas.codec import encode
from lorayard_schemas.job import Lane
from lorayard_schemas.seat import DispatcherAdvert, SeatHolder, dispatcher_key, seat_key

pytestmark = pytest.mark.bus


async def test_one_dispatcher_gets_the_jobs_of_every_lane__a3(several: SeveralYard) -> None:
    await several.yard.worker()
    await several.yard.dispatcher("d1")
    await several.process("d2")
    names = [name for lane in Lane for name in await several.publish(5, lane=lane)]
    await several.all_answered_once(names)
    assert several.seats.history == [(0, "d1")]
    consumers = f"CONSUMER.INFO.{several.bus.subjects.stream('jobs')}"
    for lane in Lane:
        info = await several.bus.api(f"{consumers}.dispatch-{lane}")
        assert info["priority_groups"][0]["pinned_client_id"]


async def test_who_stops_hands_over_at_once__g1(long_lease_several: SeveralYard) -> None:
    """Its parked jobs go to the one that stood by; nobody waits for a lease or a pin."""
    several = long_lease_several
    first = await several.yard.dispatcher("d1")
    await several.process("d2")
    parked = await several.publish(20)
    await several.wait_until(lambda: _parked(several, "d1", 20))
    await first.stop()
    await several.yard.worker()
    await several.all_answered_once(parked)
    assert several.seats.history == [(0, "d1"), (0, ""), (0, "d2")]


async def test_what_a_killed_one_had_parked_need_not_wait_for_its_lease__g1(
    long_lease_several: SeveralYard,
) -> None:
    """What workers hold is left to them; all else is given out anew by the one that takes over."""
    several = long_lease_several
    first = await several.process("d1")
    await several.yard.dispatcher("d2")
    await several.yard.worker("w1", rows=4, lookahead=0, echo_delay_seconds=1.0)
    jobs = await several.publish(12)
    await several.wait_until(lambda: _parked(several, "d1", 8))
    settled = (await several.status("d2")).started_at + 5.5
    await several.wait_until(lambda: time.time() > settled)
    more = await several.publish(12)
    await several.wait_until(lambda: _has_parked(several, "d1"))
    first.signal(signal.SIGKILL)
    await several.all_answered_once([*jobs, *more])
    assert several.seats.history[0] == (0, "d1")
    assert several.seats.holders == {0: "d2"}
    await several.wait_until(lambda: _succeeded(several, len(jobs) + len(more)))


async def test_a_hung_one_is_replaced_and_does_no_harm_when_it_wakes__g1(several: SeveralYard) -> None:
    """What it has parked was given out again and is done: it forgets it, though a worker has room."""
    first = await several.process("d1")
    await several.process("d2")
    parked = await several.publish(30)
    await several.wait_until(lambda: _parked(several, "d1", 30))
    first.signal(signal.SIGSTOP)
    await several.wait_until(lambda: several.seats.holders == {0: "d2"})
    await several.wait_until(lambda: _parked(several, "d2", 30))
    await several.yard.worker()
    await several.all_answered_once(parked)
    await several.wait_until(lambda: _handed_over(several, "d2", 30))
    first.signal(signal.SIGCONT)
    await several.wait_until(lambda: _parked(several, "d1", 0))
    assert (await several.status("d1")).handed_over == 0


async def _succeeded(several: SeveralYard, jobs: int) -> bool:
    """Whether the worker has run so many, and so none of them twice."""
    return (await several.yard.advert("w1")).counters.jobs_succeeded == jobs


async def _handed_over(several: SeveralYard, dispatcher: str, jobs: int) -> bool:
    return (await several.status(dispatcher)).handed_over == jobs


async def _has_parked(several: SeveralYard, dispatcher: str) -> bool:
    return bool((await several.status(dispatcher)).parked)


async def test_what_the_server_keeps_of_one_that_is_gone_stops_nobody__g1(several: SeveralYard) -> None:
    await several.yard.worker("w1")
    bucket = await several.bus.js.key_value(several.bus.subjects.bucket("dispatchers"))
    # As after its clock was set back: nothing runs out.
    await bucket.put(dispatcher_key("ghost"), encode(DispatcherAdvert(dispatcher="ghost", started_at=0.0)))
    await bucket.put(seat_key(0), encode(SeatHolder(dispatcher="ghost", started_at=0.0, since=0.0)))
    await several.yard.dispatcher("d1")
    await several.all_answered_once(await several.publish(5))
    assert (await several.status("d1")).dispatchers == ("d1",)


async def _parked(several: SeveralYard, dispatcher: str, jobs: int) -> bool:
    """Whether that dispatcher has so many jobs that wait."""
    groups = (await several.status(dispatcher)).parked
    return sum(group.jobs for group in groups) == jobs
