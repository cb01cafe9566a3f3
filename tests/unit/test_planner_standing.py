"""Groups by age and by size, brought up to date when they are read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorayard_dispatcher.planning.backlog import Backlog
from lorayard_dispatcher.planning.policy import Policy
from lorayard_dispatcher.planning.values import WaitingJob

LANE = 1

# Keys that come, or are taken while they wait; seldom a look at the lists (None).
steps = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 40), st.sampled_from("abcd"))), max_size=120)


def recount(jobs: dict[str, WaitingJob]) -> tuple[list[tuple[float, str, str]], list[str]]:
    groups: dict[str, list[WaitingJob]] = {}
    for job in jobs.values():
        groups.setdefault(job.group, []).append(job)
    oldest = {group: min(found, key=lambda job: job.order) for group, found in groups.items()}
    heads = sorted((job.enqueued_at, job.key, group) for group, job in oldest.items())
    sizes = sorted((-len(found).bit_length(), group) for group, found in groups.items())
    return heads, [group for _, group in sizes]


@given(steps)
def test_groups_stand_by_age_and_size_however_much_has_changed_between_two_looks(
    sequence: list[tuple[int, str] | None],
) -> None:
    backlog, jobs = Backlog(Policy()), dict[str, WaitingJob]()
    for number, step in enumerate((*sequence, None)):
        if step is None:
            heads, sizes = recount(jobs)
            assert list(backlog.heads(LANE)) == heads
            assert list(backlog.largest(LANE, 100)) == sizes
            assert backlog.priorities() == [LANE] * bool(jobs)
            continue
        key = f"j{step[0]}"
        if key in jobs:
            assert backlog.take(key) == jobs.pop(key)
            continue
        job = WaitingJob(
            key=key, group=step[1], tenant=f"t{number % 3}", priority=LANE, enqueued_at=number // 2
        )
        jobs[key] = job
        backlog.put(job)
