"""What decides about batches of HTTP clients, without a bus."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
from pathlib import Path

import pytest

from lorayard_gateway.batches.folder import LOCK, WorkFolder
from lorayard_gateway.batches.runners import next_up
from lorayard_gateway.batches.states import OVER, TRANSITIONS, TransitionError, ended_at, moved, to_forget
from lorayard_schemas.batch_record import BatchRecord, BatchStatus


def batch(number: int, tenant: str = "t", status: BatchStatus = BatchStatus.VALIDATING) -> BatchRecord:
    return BatchRecord(
        id=f"batch_{number:026x}",
        tenant=tenant,
        input_file_id="file-" + "0" * 26,
        endpoint="/v1/completions",
        status=status,
        created_at=float(number),
        expires_at=99.0,
    )


@pytest.mark.parametrize(("one", "to"), list(itertools.product(BatchStatus, BatchStatus)))
def test_only_listed_steps_are_taken_and_each_has_its_time(one: BatchStatus, to: BatchStatus) -> None:
    record = batch(1, status=one)
    if to in TRANSITIONS[one]:
        after = moved(record, to, 7.0)
        assert (after.status, getattr(after, f"{to.value}_at")) == (to, 7.0)
        assert ended_at(after) == (7.0 if to in OVER else None)
    else:
        with pytest.raises(TransitionError):
            moved(record, to, 7.0)


def test_every_state_is_reached_and_has_an_end() -> None:
    reached = {BatchStatus.VALIDATING}
    while more := {to for one in reached for to in TRANSITIONS[one]} - reached:
        reached |= more
    assert reached == set(BatchStatus)
    assert {"completed", "failed", "expired", "cancelled"} == OVER


def test_tenants_with_few_running_come_first_then_the_oldest() -> None:
    waiting = [batch(4, "a"), batch(1, "a"), batch(3, "b"), batch(2, "c"), batch(5, "b")]
    running = {batch(1, "a").id: "a", batch(9, "c").id: "c"}
    found = next_up(waiting, running, {batch(5).id})
    assert [(one.tenant, int(one.created_at)) for one in found] == [("b", 3), ("c", 2), ("a", 4)]


def test_what_a_killed_gateway_left_is_removed_and_a_living_ones_stays(tmp_path: Path) -> None:
    dead, living = tmp_path / "gateway-dead", tmp_path / "gateway-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / LOCK).touch()
    held = os.open(living / LOCK, os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    ours = WorkFolder(tmp_path)
    run = ours.batch("batch_1")
    assert (dead.exists(), living.exists(), run.is_dir()) == (False, True, True)
    ours.close()
    assert list(tmp_path.iterdir()) == [living]
    os.close(held)


def test_of_two_tenants_none_has_all_places() -> None:
    waiting = [batch(1, "a"), batch(2, "a"), batch(3, "a"), batch(4, "b"), batch(5, "b")]
    found = next_up(waiting, {}, set())
    assert [(one.tenant, int(one.created_at)) for one in found] == [
        ("a", 1),
        ("b", 4),
        ("a", 2),
        ("b", 5),
        ("a", 3),
    ]


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    ours = WorkFolder(tmp_path / "work")
    ours.batch("batch_1")
    shutil.rmtree(tmp_path / "work")
    assert ours.batch("batch_2").is_dir()
    other = WorkFolder(tmp_path / "work")
    other.batch("batch_3")
    assert ours.batch("batch_4").is_dir(), "it is locked: no other has removed it"
    assert len(list((tmp_path / "work").iterdir())) == 2
    for folder in (ours, other):
        folder.close()


def test_batches_are_forgotten_by_age_and_the_oldest_of_too_many() -> None:
    done = [
        moved(batch(number, tenant, BatchStatus.FINALIZING), BatchStatus.COMPLETED, float(number))
        for number, tenant in ((1, "a"), (3, "a"), (4, "a"), (5, "a"), (4, "b"))
    ]
    found = to_forget([batch(0, "a"), *done], 2.0, most=2)
    assert [(one.tenant, int(one.created_at)) for one in found] == [("a", 3), ("a", 1)]
