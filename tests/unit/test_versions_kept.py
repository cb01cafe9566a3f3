"""The versions that several adapters came by aliases, kept by turns, attempts and deliveries (C7, D4, B3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorayard_dispatcher.choosing import Choosing
from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.planning.values import WaitingJob
from lorayard_dispatcher.session import Session
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.assignment import AssignedJob
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Lane
from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_schemas.session import MAX_BOUND, SessionRecord
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.bound import bindings, bound_text, read_bound
from lorayard_shared.jobs.resolve import Resolution, kept_of
from lorayard_shared.jobs.taken_job import TakenJob

TASK, STYLE = "acme/tiny/task", "acme/tiny/style"
ALIAS = f"{STYLE}@stable"


@pytest.fixture
def choosing() -> Choosing:
    """A yard where a task is chosen by rule, and a style of two versions is added."""
    registry = AdapterRegistry()
    for name, version in ((TASK, "1"), (STYLE, "1"), (STYLE, "2")):
        record = AdapterRecord(
            name=name,
            version=version,
            digest="sha256:" + f"{name}@{version}".encode().hex()[-40:],
            rank=4,
            alpha=8.0,
            targets=("q_proj",),
            size_bytes=1,
            state=AdapterState.ACTIVE,
        )
        registry.on_change(record.key, encode(record))
    made = Choosing(registry, None)
    rules = [
        {"name": "task", "task": "sum", "adapter": TASK},
        {"name": "both", "task": "both", "adapters": [{"adapter": TASK}, {"adapter": ALIAS}]},
        {"name": "style", "on": ["task", "session", "explicit"], "add": [{"adapter": ALIAS, "weight": 0.5}]},
    ]
    made.directory.rules.on_change(RULES_KEY, encode(RouteTable.model_validate({"rules": rules})))
    share(made, 1, old=99)
    return made


def shares(revision: int, *, old: float) -> bytes:
    """What version 1 of the style gets, in percent."""
    arms = (Arm(version="1", weight=old), Arm(version="2", weight=100 - old))
    return encode(AliasRecord(adapter=STYLE, alias="stable", revision=revision, arms=arms))


def share(choosing: Choosing, revision: int, *, old: float) -> None:
    choosing.directory.aliases.on_change(alias_key(STYLE, "stable"), shares(revision, old=old))


def job(name: str = "j", **more: object) -> TakenJob:
    given = {
        "key": name,
        "lease": "l",
        "subject": "s",
        "address": JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=None),
        "job": name,
        "body": b"",
        "attempt": 1,
        "history": None,
        "deliveries": 1,
        "enqueued_at": 1.0,
        "deadline": None,
        "task": "sum",
        **more,
    }
    return TakenJob(**given)  # type: ignore[arg-type]  # as the test says


def style(found: Resolution) -> str:
    """The version of it."""
    assert found.composition is not None
    return {part.name: part.version for part in found.composition.applied.parts}[STYLE]


def parked(taken: TakenJob, found: Resolution) -> ParkedJob:
    waiting = WaitingJob(key=taken.key, group=found.made_of or "", tenant="acme", priority=2, enqueued_at=1.0)
    return ParkedJob(
        taken=taken,
        waiting=waiting,
        adapter=found.ref,
        rule=found.rule,
        alias=found.alias,
        composition=found.composition,
        additions=found.additions,
    )


def test_a_job_given_out_again_keeps_the_versions_of_its_parts__c7__d4(choosing: Choosing) -> None:
    taken = job()
    first = choosing.choose(taken, None)
    assert style(first) == "1"
    choosing.begin(parked(taken, first))
    share(choosing, 2, old=1)
    assert style(choosing.choose(job("other"), None)) == "2"
    assert style(choosing.choose(taken, None)) == "1"
    share(choosing, 3, old=0)
    assert style(choosing.choose(taken, None)) == "2", "zero starts on what was taken out"


def test_another_attempt_does_so_too__c7__d4(choosing: Choosing) -> None:
    given = AssignedJob.model_validate(parked(job(), choosing.choose(job(), None)).assigned(1.0))
    assert given.additions is not None
    assert given.additions.by == ("style",)
    text = bound_text(bindings(given.adapter, given.alias, given.composition))
    assert text == f"{ALIAS}=1"
    share(choosing, 2, old=1)
    assert style(choosing.choose(job(bound=text), None)) == "1"


@pytest.mark.parametrize("text", ["", " ", "=", "a=b=c d", "x" * 10_000, " ".join("a=1" for _ in range(999))])
def test_what_others_write_there_is_read_as_far_as_it_goes__d4(text: str) -> None:
    assert len(read_bound(text)) <= MAX_BOUND
    bound = {f"a/b/c{number}@stable": f"v{number}" for number in range(3)}
    assert read_bound(bound_text(bound)) == bound


def test_a_turn_keeps_the_version_that_a_rule_added_before__c7__b3(choosing: Choosing) -> None:
    session = Session(tenant="acme", name="s")
    found = choosing.choose(job(), session)
    session.turned(found, 1.0)
    assert (session.adapter, session.origin) == (found.chosen.ref, "task")
    assert session.bound == {ALIAS: "1"}
    share(choosing, 2, old=1)
    then = choosing.choose(job("k", task=None), session)
    assert (then.rule, style(then), style(choosing.choose(job("k"), None))) == ("session", "1", "2")
    session.turned(then, 2.0)
    assert session.origin == "task"


def test_a_session_whose_version_went_has_another_and_came_from_where_it_did__c7__b3(
    choosing: Choosing,
) -> None:
    session = Session(tenant="acme", name="s")
    named = job(address=JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=ALIAS), task=None)
    session.turned(choosing.choose(named, session), 1.0)
    share(choosing, 2, old=0)
    session.turned(choosing.choose(job("k", task=None), session), 2.0)
    assert session.adapter is not None
    assert (session.adapter.version, session.origin) == ("2", "explicit")


def test_a_session_is_written_and_heard_with_its_versions_and_where_it_came_from__c7__b3(
    choosing: Choosing,
) -> None:
    session = Session(tenant="acme", name="s")
    session.turned(choosing.choose(job(), session), 1.0)
    session.handed("w", 10.0, 2.0)
    record = session.to_write(2.0, 60.0)
    assert record is not None
    other = Session(tenant="acme", name="s")
    other.hear(decode(SessionRecord, encode(record)))
    assert (other.adapter, other.origin, other.bound) == (session.adapter, "task", {ALIAS: "1"})
    assert session.to_write(3.0, 60.0) == replace_at(record, 3.0)
    session.stored = record
    assert session.to_write(3.0, 60.0) is None
    session.bound[ALIAS] = "2"
    assert session.to_write(3.0, 60.0) is not None


def replace_at(record: SessionRecord, at: float) -> SessionRecord:
    return record.model_copy(update={"at": at})


def test_a_session_of_several_adapters_alone_has_chosen_none_and_keeps_their_versions__c7__b3(
    choosing: Choosing,
) -> None:
    session = Session(tenant="acme", name="s")
    found = choosing.choose(job(task="both"), session)
    assert found.rule == "task:both"
    session.turned(found, 1.0)
    assert (session.chosen, session.bound) == (False, {ALIAS: "1"})
    session.handed("w", 10.0, 2.0)
    record = session.to_write(2.0, 60.0)
    assert record is not None
    assert (record.chosen_at, kept_of(record)) == (None, None)
    other = Session(tenant="acme", name="s")
    other.hear(decode(SessionRecord, encode(record)))
    share(choosing, 2, old=1)
    assert (other.chosen, style(choosing.choose(job("k", task="both"), other))) == (False, "1")


def test_a_session_remembers_the_last_versions_and_not_all__c7(choosing: Choosing) -> None:
    session = Session(tenant="acme", name="s", bound={f"a/b/c{n}@stable": "1" for n in range(MAX_BOUND)})
    session.turned(choosing.choose(job(), session), 1.0)
    assert len(session.bound) == MAX_BOUND
    assert ALIAS in session.bound


def test_a_record_from_before_says_what_it_said__b3() -> None:
    old = {"v": 1, "tenant": "t", "session": "s", "chosen_at": 3.0, "worker": "w", "tokens": 1.0, "at": 4.0}
    record = SessionRecord.model_validate(old)
    kept = kept_of(record)
    assert kept is not None
    assert (kept.adapter, kept.origin, record.bound) == (None, None, {})


def test_a_waiting_job_says_what_it_goes_without__c7(choosing: Choosing) -> None:
    found = choosing.choose(job(), None)
    assert parked(job(), found).lacks == ()
    assert found.additions is not None
    less = found.additions.model_validate({"left_out": [{"adapter": "a/b/c@new", "rule": "r", "why": "w"}]})
    assert replace(parked(job(), found), additions=less).lacks == ("a/b/c@new",)


def test_a_turn_keeps_its_adapter_though_a_later_turn_brings_another__b3(choosing: Choosing) -> None:
    """A job at a worker, or one that waits, is chosen for anew with every change of the rules."""
    session = Session(tenant="acme", name="s")
    session.turned(choosing.choose(job(), session), 1.0)
    second = job("k", task=None)
    found = choosing.choose(second, session)
    session.turned(found, 2.0)
    waiting = replace(parked(second, found), session=session, kept=session.kept)
    third = job("l", address=JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=STYLE), task=None)
    session.turned(choosing.choose(third, session), 3.0)
    choosing.directory.rules.on_change(RULES_KEY, encode(RouteTable(revision=2)))
    again = choosing.choose_again(waiting)
    assert again.record is not None
    assert again.record.name == TASK
    assert choosing.choose(job("m", task=None), session).chosen.records[0].name == STYLE


def test_of_a_job_that_a_worker_has_no_message_is_kept(choosing: Choosing) -> None:
    """A worker may hold hundreds of up to half a MiB."""
    kept = parked(job(body=b"large", history="long"), choosing.choose(job(), None))
    kept.taken.drop_message()
    assert (kept.taken.body, kept.taken.history, kept.key) == (b"", None, "j")
    assert choosing.choose_again(kept) == choosing.choose(job(), None)
