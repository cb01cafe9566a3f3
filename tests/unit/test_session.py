"""What a dispatcher remembers of one session, and when the bucket has to hear of it (B3)."""

from __future__ import annotations

import pytest

from lorayard_dispatcher.session import Session
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.session import SessionRecord, session_key
from lorayard_shared.jobs.resolve import Kept, Rule, UnknownAdapterError, resolve

TTL_SECONDS = 100.0


def ref(version: str, *, name: str = "a/b/c") -> AdapterRef:
    return AdapterRef(name=name, version=version, digest="sha256:" + version.rjust(8, "0"))


def registered(version: str, *, state: AdapterState = AdapterState.ACTIVE) -> AdapterRecord:
    return AdapterRecord(
        name="a/b/c",
        version=version,
        digest=ref(version).digest,
        base_digest="sha256:" + "0" * 8,
        rank=8,
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=1,
        state=state,
    )


KNOWN = {"a/b/c": {version: registered(version) for version in ("1", "2")}}


def written(*, adapter: AdapterRef | None, chosen_at: float, worker: str, at: float) -> SessionRecord:
    return SessionRecord(
        tenant="acme", session="chat", adapter=adapter, chosen_at=chosen_at, worker=worker, tokens=100, at=at
    )


@pytest.fixture
def session() -> Session:
    """One whose bucket entry says adapter 1 at w1."""
    made = Session(tenant="acme", name="chat")
    made.hear(written(adapter=ref("1"), chosen_at=1.0, worker="w1", at=10.0))
    return made


def test_a_turn_that_names_no_adapter_gets_its_sessions__b3() -> None:
    found = resolve(None, "a/b/c@2", KNOWN, Kept(adapter=ref("1")))
    assert (found.ref, found.rule) == (ref("1"), Rule.SESSION)


def test_a_session_of_the_base_model_stays_there_whatever_the_default__b3() -> None:
    found = resolve(None, "a/b/c", KNOWN, Kept(adapter=None))
    assert (found.ref, found.rule) == (None, Rule.SESSION)


def test_a_named_adapter_comes_before_the_sessions__b3() -> None:
    found = resolve("a/b/c@2", None, KNOWN, Kept(adapter=ref("1")))
    assert (found.ref, found.rule) == (ref("2"), Rule.EXPLICIT)


def test_a_session_whose_version_is_gone_goes_on_with_the_newest__b3() -> None:
    known = {"a/b/c": {"1": registered("1", state=AdapterState.ARCHIVED), "2": registered("2")}}
    found = resolve(None, None, known, Kept(adapter=ref("1")))
    assert (found.ref, found.rule) == (ref("2"), Rule.SESSION)


def test_a_version_that_has_other_bytes_now_is_not_taken_for_the_sessions__b3() -> None:
    other = registered("1").model_copy(update={"digest": "sha256:ffffffff"})
    found = resolve(None, None, {"a/b/c": {"1": other, "2": registered("2")}}, Kept(adapter=ref("1")))
    assert found.ref == ref("2")


@pytest.mark.parametrize(("default", "rule"), [("a/b/c@2", Rule.DEFAULT), (None, Rule.BASE)])
def test_a_session_whose_adapter_is_gone_falls_back__b3(default: str | None, rule: Rule) -> None:
    assert resolve(None, default, KNOWN, Kept(adapter=ref("1", name="x/y/z"))).rule is rule


def test_a_session_does_not_hide_that_a_named_adapter_is_unknown__b3() -> None:
    with pytest.raises(UnknownAdapterError):
        resolve("x/y/z", None, KNOWN, Kept(adapter=ref("1")))


def test_a_turn_as_the_last_one_writes_nothing(session: Session) -> None:
    session.resolved(ref("1"), 11.0, explicit=False)
    session.handed("w1", 120.0, 11.0)
    assert session.to_write(11.0, TTL_SECONDS) is None


@pytest.mark.parametrize(
    ("adapter", "worker", "tokens", "now"),
    [
        pytest.param(ref("2"), "w1", 120.0, 11.0, id="another adapter"),
        pytest.param(None, "w1", 120.0, 11.0, id="the base model"),
        pytest.param(ref("1"), "w2", 120.0, 11.0, id="another worker"),
        pytest.param(ref("1"), "w1", 201.0, 11.0, id="twice as long"),
        pytest.param(ref("1"), "w1", 120.0, 60.0, id="past half its time"),
        pytest.param(ref("1"), "w1", 120.0, 5.0, id="the clock was set back"),
    ],
)
def test_what_has_changed_is_written(
    session: Session, adapter: AdapterRef | None, worker: str, tokens: float, now: float
) -> None:
    session.resolved(adapter, now, explicit=True)
    session.handed(worker, tokens, now)
    record = session.to_write(now, TTL_SECONDS)
    assert record is not None
    assert (record.adapter, record.worker, record.tokens, record.at) == (adapter, worker, tokens, now)
    session.stored = record
    assert session.to_write(now, TTL_SECONDS) is None


def test_a_session_that_no_worker_has_is_not_written() -> None:
    session = Session(tenant="acme", name="chat")
    session.resolved(ref("1"), 1.0, explicit=True)
    assert session.to_write(1.0, TTL_SECONDS) is None


def test_a_turn_that_only_kept_its_adapter_does_not_outdo_anothers_choice(session: Session) -> None:
    """Two dispatchers: the other one took a turn that named version 2, and this one has not heard of it."""
    session.resolved(ref("1"), 20.0, explicit=False)
    session.hear(written(adapter=ref("2"), chosen_at=15.0, worker="w2", at=15.1))
    assert (session.adapter, session.worker) == (ref("2"), "w2")


def test_a_choice_that_is_older_than_the_sessions_is_void(session: Session) -> None:
    """A turn that comes again, after one that named another adapter."""
    session.resolved(ref("2"), 20.0, explicit=True)
    session.resolved(ref("1"), 5.0, explicit=True)
    session.hear(written(adapter=ref("1"), chosen_at=5.0, worker="w1", at=21.0))
    assert session.adapter == ref("2")


def test_an_echo_of_ones_own_writing_moves_nobody_back(session: Session) -> None:
    session.handed("w2", 120.0, 30.0)
    record = session.to_write(30.0, TTL_SECONDS)
    assert record is not None
    session.handed("w3", 130.0, 30.5)
    session.hear(record)
    assert (session.worker, session.tokens) == ("w3", 130.0)
    later = session.to_write(30.6, TTL_SECONDS)
    assert later is not None
    assert later.worker == "w3"


def test_a_session_is_over_when_the_bucket_has_dropped_it(session: Session) -> None:
    assert not session.is_over(109.9, TTL_SECONDS)
    assert session.is_over(110.0, TTL_SECONDS)


def test_while_the_bucket_is_silent_only_named_adapters_are_kept() -> None:
    session = Session(tenant="acme", name="chat", readable=False)
    session.resolved(None, 1.0, explicit=False)
    assert not session.chosen
    session.resolved(ref("1"), 2.0, explicit=True)
    assert session.adapter == ref("1")


def test_keys_hold_the_tenant_and_never_mix_names() -> None:
    names = [("a", "b.c"), ("a.b", "c"), ("a", "b"), ("b", "a"), ("a", "\u00fc" * 256), ("*", ">")]
    keys = {session_key(tenant, session) for tenant, session in names}
    assert len(keys) == len(names)
    assert all(key.count(".") == 1 and key.isascii() and not set(key) & set("*> %") for key in keys)


def test_a_record_survives_a_clock_of_the_other_side(session: Session) -> None:
    """A record from the future is newer than all that was seen here, and no crash."""
    assert session.stored is not None
    session.hear(replace_at(session.stored, 1e9))
    assert not session.is_over(20.0, TTL_SECONDS)


def replace_at(record: SessionRecord, at: float) -> SessionRecord:
    return record.model_copy(update={"at": at})
