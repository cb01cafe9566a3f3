"""Audit records hang together: whatever is done to them shows, and what nobody did does not (F4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_schemas.headers import CHAIN, CHAIN_FROM
from lorayard_shared.audit.chain import Chain, Link
from lorayard_shared.audit.keeping import Beginning, Keeping, trimmed
from lorayard_shared.audit.verifying import FaultKind, Report, Seen, Verifier

SUBJECT = "yard.audit.decision.acme.j"
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


def write(chain: Chain, sequence: int, body: bytes = b"x", subject: str = SUBJECT) -> Seen:
    headers = chain.link(subject, body)
    restart = headers.get(CHAIN_FROM)
    return Seen(sequence=sequence, subject=subject, chain=headers[CHAIN], restart=restart, body=body)


def written(lengths: Sequence[int]) -> list[Seen]:
    """Records of several writers in turn, as many of each as is said."""
    chains = [Chain(f"writer{place}") for place in range(len(lengths))]
    found: list[Seen] = []
    for turn in range(max(lengths)):
        for chain, length in zip(chains, lengths, strict=True):
            if turn < length:
                found.append(write(chain, len(found) + 1, bytes([turn])))
    return found


def verify(records: Sequence[Seen], *, last_sequence: int | None = None) -> Report:
    verifier = Verifier()
    for record in records:
        verifier.see(record)
    return verifier.end(last_sequence=last_sequence)


def renumbered(records: Sequence[Seen]) -> list[Seen]:
    """As if somebody had stored them anew: the stream itself shows nothing."""
    return [replace(record, sequence=place) for place, record in enumerate(records, 1)]


def kinds(report: Report) -> set[FaultKind]:
    return {fault.kind for fault in report.faults}


@given(LENGTHS)
def test_what_nobody_touched_is_sound__f4(lengths: list[int]) -> None:
    records = written(lengths)
    report = verify(records, last_sequence=len(records))
    assert (report.sound, report.records, report.writers) == (True, len(records), len(lengths))
    assert (report.cut, report.lost, report.unchained) == (0, 0, 0)


@given(LENGTHS, st.data())
def test_a_changed_byte_anywhere_shows__f4(lengths: list[int], data: st.DataObject) -> None:
    records = written(lengths)
    place = data.draw(st.integers(0, len(records) - 1))
    one = records[place]
    body = data.draw(st.binary(max_size=3).filter(lambda body: body != one.body))
    records[place] = replace(one, body=body)
    assert FaultKind.CHANGED in kinds(verify(records))
    records[place] = replace(one, subject=SUBJECT.replace("acme", "other"))
    assert FaultKind.CHANGED in kinds(verify(records))


@given(LENGTHS, st.data())
def test_a_changed_header_shows__f4(lengths: list[int], data: st.DataObject) -> None:
    records = written(lengths)
    place = data.draw(st.integers(0, len(records) - 1))
    text = records[place].chain or ""
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("Ab9-_ ").filter(lambda letter: letter != text[at]))
    records[place] = replace(records[place], chain=f"{text[:at]}{letter}{text[at + 1 :]}")
    assert not verify(records).sound


@given(LENGTHS, st.data())
def test_a_dropped_record_shows_even_where_the_stream_was_made_anew__f4(
    lengths: list[int], data: st.DataObject
) -> None:
    records = written(lengths)
    place = data.draw(st.integers(0, len(records) - 1))
    dropped = records.pop(place)
    report = verify(records, last_sequence=len(records) + 1)
    cut_off = place == 0 and all(_number(one) > 1 or _writer(one) != _writer(dropped) for one in records)
    assert FaultKind.DELETED in kinds(report) or cut_off, "the stream has an empty place, but at its old end"
    behind = [one for one in records if _writer(one) == _writer(dropped) and _number(one) > _number(dropped)]
    again = verify(renumbered(records))
    assert again.sound is not bool(behind), "only the last of a writer can go unseen there"


def _writer(record: Seen) -> str:
    return (record.chain or "").split(" ")[0]


def _number(record: Seen) -> int:
    return int((record.chain or "").split(" ")[1])


@given(st.integers(2, 6), st.data())
def test_swapped_repeated_and_inserted_records_show__f4(length: int, data: st.DataObject) -> None:
    records = written([length])
    place = data.draw(st.integers(0, length - 2))
    swapped = [*records]
    swapped[place], swapped[place + 1] = swapped[place + 1], swapped[place]
    assert FaultKind.MOVED in kinds(verify(swapped))
    assert not verify(renumbered(swapped)).sound
    twice = renumbered([*records[: place + 1], *records[place:]])
    assert FaultKind.TWICE in kinds(verify(twice))
    stranger = Seen(sequence=0, subject=SUBJECT, chain=None, restart=None, body=b"x")
    inserted = renumbered([*records[: place + 1], stranger, *records[place + 1 :]])
    assert kinds(verify(inserted)) == {FaultKind.UNCHAINED}


def test_a_record_replaced_by_one_with_a_right_hash_shows_at_the_next__f4() -> None:
    chain, other = Chain("w"), Chain("w")
    records = [write(chain, 1), write(chain, 2), write(chain, 3)]
    other.writer = chain.writer
    link = Link.read(records[0].chain or "")
    assert link is not None
    other._hash, other._number, other._first_told = link.hash, 1, True  # pyright: ignore[reportPrivateUsage]
    records[1] = write(other, 2, b"forged")
    assert kinds(verify(records)) == {FaultKind.REPLACED}


def test_records_taken_from_the_new_end_show_by_what_the_stream_counts__f4() -> None:
    records = written([5])
    assert verify(records[:3], last_sequence=3).sound
    report = verify(records[:3], last_sequence=5)
    assert kinds(report) == {FaultKind.DELETED}


def test_what_retention_cut_at_the_old_end_is_counted_and_no_fault__f4() -> None:
    report = verify(written([6])[4:], last_sequence=6)
    assert (report.sound, report.cut) == (True, 4)


def test_a_missing_beginning_in_a_stream_that_lost_nothing_is_a_gap__f4() -> None:
    assert kinds(verify(renumbered(written([6])[4:]))) == {FaultKind.GAP}


def test_a_writer_that_was_killed_looks_like_nothing__f4() -> None:
    """What it had not sent was never written; its successor has a chain of its own."""
    first, second = Chain("d"), Chain("d")
    records = [write(first, 1), write(first, 2), write(second, 3)]
    report = verify(records, last_sequence=3)
    assert (report.sound, report.writers, report.lost) == (True, 2, 0)


def test_records_in_doubt_are_lost_by_the_writers_own_word_and_no_fault__f4() -> None:
    chain = Chain("d")
    sent = [write(chain, number) for number in range(1, 6)]
    chain.confirm(2)
    chain.restart()
    arrived = [*sent[:3], replace(write(chain, 0), sequence=4)]
    report = verify(arrived, last_sequence=4)
    assert (report.sound, report.restarts, report.lost) == (True, 1, 2)
    taken = renumbered([sent[0], arrived[3]])
    assert kinds(verify(taken)) == {FaultKind.GAP}, "the second was confirmed, and is not there"


def test_what_a_broken_connection_took_from_the_middle_is_no_fault__f4() -> None:
    """What was sent behind it went out over the next one."""
    chain = Chain("d")
    sent = [write(chain, number) for number in range(1, 8)]
    chain.confirm(2)
    chain.restart()
    last = write(chain, 0)
    report = verify(renumbered([*sent[:3], *sent[5:], last]))
    assert (report.sound, report.lost) == (True, 2)
    report = verify(renumbered([sent[0], *sent[5:], last]))
    assert kinds(report) == {FaultKind.GAP}
    assert "1 records" in report.faults[0].text, "the second was confirmed; the rest may be lost"


@pytest.mark.parametrize(
    ("since", "age", "size", "most", "can"),
    [
        (0.0, 0.0, 10, -1, False),
        (0.0, 200.0, 10, 0, False),
        (0.0, 99.0, 10, 0, True),
        (50.0, 99.0, 10, 0, False),
        (0.0, 0.0, 8 * 2**20, 10 * 2**20, True),
        (0.0, 0.0, 7 * 2**20, 10 * 2**20, False),
        (0.0, 200.0, 0, 2**20, True),
    ],
)
def test_a_stream_lets_records_go_by_age_or_when_it_is_full__f4(
    since: float, age: float, size: int, most: int, can: bool
) -> None:
    keeping = Keeping(now=100.0, age_seconds=age, size_bytes=size, most_bytes=most)
    assert keeping.can_have_cut(since) is can
    known = Beginning(sequence=3, at=since)
    assert (trimmed(5, known, keeping) is None) is can
    assert trimmed(3, known, keeping) is None


def test_beginnings_that_nobody_saw_keep_the_last_sure_word__f4() -> None:
    chain = Chain("d")
    kept = [write(chain, 1), write(chain, 2)]
    chain.confirm(2)
    chain.restart()
    for _ in range(3):
        write(chain, 0)
        chain.restart()
    report = verify([*kept, write(chain, 3)], last_sequence=3)
    assert (report.sound, report.lost) == (True, 3)


def test_what_a_writer_gave_up_before_it_sent_it_is_counted_and_no_fault__f4() -> None:
    chain = Chain("d")
    chain.skip(2)
    records = [write(chain, 1)]
    chain.skip(3)
    records.append(write(chain, 2))
    report = verify(records, last_sequence=2)
    assert (report.sound, report.lost) == (True, 5)
    assert not verify(renumbered(records[1:])).sound


def test_records_of_an_older_release_are_counted_and_no_fault__f4() -> None:
    old = Seen(sequence=1, subject=SUBJECT, chain=None, restart=None, body=b"x")
    report = verify([old, write(Chain("d"), 2)], last_sequence=2)
    assert (report.sound, report.unchained) == (True, 1)


@given(st.text(alphabet="0123456789 abc-_٣", max_size=40), st.integers(1, 3))
def test_any_header_is_judged_and_none_takes_memory__f4(text: str, place: int) -> None:
    records = written([3])
    records[place - 1] = replace(records[place - 1], chain=text)
    assert not verify(records).sound
    for number in ("1" + "0" * 17, "1" + "0" * 5000):
        forged = replace(records[0], chain=f"{_writer(records[1])} {number} a b")
        assert not verify([forged, *records[1:]]).sound
