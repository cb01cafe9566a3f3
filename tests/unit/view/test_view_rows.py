"""Rows of a snapshot: whose jobs are whose, where adapters are, and how much fits into a message."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.view.conftest import DIGEST, NOW, MakeState, made_depth, made_record, made_worker

from lorayard.view.adapter_rows import adapter_rows
from lorayard.view.fitting import fitted
from lorayard.view.fleet import LOST_SECONDS, SILENT_SECONDS
from lorayard.view.rows import MOST_WAITS, overview, queue_rows, wait_rows, worker_rows
from lorayard.view.traffic import Sample, Window, traffic_of
from lorayard.view.troubles import troubles
from lorayard_schemas.adapter import AdapterState
from lorayard_schemas.advert import SlotAdvert
from lorayard_schemas.alias import AliasRecord, Arm
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Lane
from lorayard_schemas.placement import Placement
from lorayard_schemas.snapshot import Overview, YardSnapshot
from lorayard_schemas.status import OTHERS, DispatcherStatus, ParkedGroup
from lorayard_schemas.subjects import JobAddress

MESSAGE_BYTES = 2**20


def named(adapter: str | None, lane: Lane = Lane.NORMAL, tenant: str = "t") -> JobAddress:
    return JobAddress(lane=lane, tenant=tenant, adapter=adapter)


def test_jobs_count_for_the_version_that_answers_them(make_state: MakeState) -> None:
    jobs = {
        named("a/b/c"): 1,
        named("a/b/c@2"): 10,
        named("a/b/c@canary"): 100,
        named("a/b/d"): 1000,
        named(None): 5,
    }
    aliases = (
        AliasRecord(adapter="a/b/c", alias="stable", revision=1, arms=(Arm(version="1", weight=100),)),
        AliasRecord(
            adapter="a/b/c",
            alias="canary",
            revision=1,
            arms=(Arm(version="1", weight=40), Arm(version="3", weight=60)),
        ),
    )
    records = (
        *(made_record("a/b/c", version) for version in ("1", "2", "3")),
        made_record("a/b/d", "9"),
        made_record("a/b/d", "10"),
        made_record("a/b/d", "11", state=AdapterState.ARCHIVED),
    )
    rows = adapter_rows(make_state(depth=made_depth(jobs), aliases=aliases, adapters=records))
    told = {f"{row.name}@{row.version}": row.waiting for row in rows}
    assert told == {
        "a/b/c@1": 1,
        "a/b/c@2": 10,
        "a/b/c@3": 100,
        "a/b/d@9": 0,
        "a/b/d@10": 1000,
        "a/b/d@11": 0,
    }
    assert rows[-1].state == "archived"
    assert rows[0].aliases == {"stable": 100, "canary": 40}


def test_what_is_pinned_is_what_a_declaration_means_and_pins(make_state: MakeState) -> None:
    records = tuple(made_record(name, version) for name in ("a/b/c", "a/b/d") for version in ("1", "2", "10"))
    records += (made_record("a/b/e"), made_record("a/b/e", "2", state=AdapterState.ARCHIVED))
    stable = AliasRecord(adapter="a/b/d", alias="stable", revision=1, arms=(Arm(version="1", weight=100),))
    declared = (
        Placement(adapter="a/b/c", pin=True),
        Placement(adapter="a/b/c@2", pin=True, on=("w1",)),
        Placement(adapter="a/b/d", pin=True),
        Placement(adapter="a/b/e", replicas_min=2),
    )
    state = make_state(adapters=records, aliases=(stable,), placements=declared)
    rows = {f"{row.name}@{row.version}": row for row in adapter_rows(state)}
    assert {name for name, row in rows.items() if row.pinned} == {"a/b/c@2", "a/b/c@10", "a/b/d@1"}
    assert all(row.placed for row in rows.values())
    own = (*declared, Placement(adapter="a/b/c@10"))  # it was unpinned by itself
    rows = {f"{row.name}@{row.version}": row for row in adapter_rows(replace(state, placements=own))}
    assert not rows["a/b/c@10"].pinned


def test_a_lost_worker_holds_nothing(make_state: MakeState) -> None:
    slots = (SlotAdvert(digest=DIGEST),)
    workers = (made_worker("w1", slots=slots, host=(DIGEST,)), made_worker("w2", gone=True, slots=slots))
    state = make_state(workers=workers, adapters=(made_record("a/b/c"),))
    (row,) = adapter_rows(state)
    assert (row.slots, row.host) == (("w1",), 1)
    assert (overview(state).workers, overview(state).workers_lost) == (1, 1)
    assert [worker.worker for worker in worker_rows(state, {})] == ["w2", "w1"]


def test_the_longest_queue_comes_first_and_the_oldest_job_is_that_of_its_lane(make_state: MakeState) -> None:
    jobs = {named("a/b/c"): 1, named("a/b/d", Lane.BULK): 5}
    state = make_state(
        depth=made_depth(jobs), queue_ages={named("a/b/c"): NOW - 3}, lane_ages={Lane.NORMAL: NOW - 4}
    )
    assert [(row.jobs, row.oldest_seconds) for row in queue_rows(state)] == [(5, None), (1, 3.0)]
    assert overview(state).oldest_seconds == 4.0


def test_what_waits_in_several_dispatchers_is_one_row() -> None:
    def status(name: str, jobs: int, seconds: float, reason: str) -> DispatcherStatus:
        group = ParkedGroup(adapter="a/b/c@1", jobs=jobs, oldest_seconds=seconds, reason=reason)
        return DispatcherStatus(dispatcher=name, started_at=0.0, parked=(group,))

    (row,) = wait_rows([status("d1", 2, 1.0, "rows_busy"), status("d2", 3, 9.0, "fetch")])
    assert (row.jobs, row.oldest_seconds, row.reason) == (5, 9.0, "fetch")


def test_what_waits_beyond_a_thousand_adapters_is_counted_in_one_row__f3() -> None:
    """Also what a dispatcher sums up by itself: it has waited the shortest, and must not fall off the end."""

    def status(name: str, first: int) -> DispatcherStatus:
        numbers = range(first, first + MOST_WAITS)
        named = [
            ParkedGroup(adapter=f"a/b/c{number}@1", jobs=2, oldest_seconds=10.0 + number)
            for number in numbers
        ]
        others = ParkedGroup(adapter=OTHERS, jobs=7, oldest_seconds=3.0)
        return DispatcherStatus(dispatcher=name, started_at=0.0, parked=(*named, others))

    rows = wait_rows([status("d1", 0), status("d2", MOST_WAITS)])
    assert len(rows) == MOST_WAITS + 1
    assert sum(row.jobs for row in rows) == 2 * (2 * MOST_WAITS + 7)
    assert (rows[-1].adapter, rows[-1].oldest_seconds) == (OTHERS, 10.0 + MOST_WAITS - 1)
    assert [row.adapter for row in wait_rows([status("d1", 0)])][-1] == OTHERS


def test_traffic_is_scaled_up_where_only_some_was_read() -> None:
    samples = tuple(Sample(adapter="a@1", milliseconds=ms, failed=ms > 90) for ms in range(1, 101))
    told = traffic_of(
        [Window(at=0.0, heard_seconds=0.1, samples=samples), Window(at=1.0, heard_seconds=1.0, samples=())],
        2.0,
    )
    assert round(told["a@1"].per_second) == 500
    assert (told["a@1"].p50_ms, told["a@1"].p95_ms, told["a@1"].errors) == (50, 96, 0.1)


def test_a_thousand_adapters_fit_into_a_message_and_what_does_not_is_counted(make_state: MakeState) -> None:
    digests = [f"sha256:{number:064x}" for number in range(1000)]
    records = tuple(
        made_record(f"acme/gemma3-270m/task-{number}", digest=digest) for number, digest in enumerate(digests)
    )
    names = {record.digest: record.label for record in records}
    workers = tuple(
        made_worker(
            f"worker-{number}", slots=tuple(SlotAdvert(digest=digest) for digest in digests[number::64][:16])
        )
        for number in range(64)
    )
    jobs = {named(record.name, lane): 3 for record in records for lane in (Lane.NORMAL, Lane.BULK)}
    state = make_state(adapters=records, workers=workers, depth=made_depth(jobs))
    snapshot = YardSnapshot(
        prefix="yard",
        url="nats://x",
        release="0",
        sequence=1,
        at=NOW,
        took_ms=1.0,
        overview=overview(state),
        queues=tuple(queue_rows(state)),
        adapters=tuple(adapter_rows(state)),
        workers=tuple(worker_rows(state, names)),
    )
    body = fitted(snapshot, MESSAGE_BYTES)
    assert len(body) < MESSAGE_BYTES
    assert decode(YardSnapshot, body) == snapshot
    little = decode(YardSnapshot, fitted(snapshot, 100_000))
    assert len(little.queues) + little.queues_left_out == 2000
    assert len(little.adapters) + little.adapters_left_out == 1000
    assert little.adapters_left_out
    assert isinstance(little.overview, Overview)


def test_rows_and_troubles_call_the_same_workers_silent_and_lost__f4(make_state: MakeState) -> None:
    late, over = SILENT_SECONDS + 0.1, LOST_SECONDS + 0.1
    workers = (made_worker("w1"), made_worker("w2", ago=late), made_worker("w3", ago=over))
    state = make_state(workers=workers)
    rows = worker_rows(state, {})
    assert {row.worker: (row.silent, row.lost) for row in rows} == {
        "w1": (False, False),
        "w2": (True, False),
        "w3": (False, True),
    }
    told = {(one.code, one.about) for one in troubles(state)}
    assert {about for code, about in told if code == "worker_silent"} == {"w2"}
    assert {about for code, about in told if code == "worker_lost"} == {"w3"}
