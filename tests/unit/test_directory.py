"""What leads from a job to a version: names, aliases, rules, sessions, and who may (B1, B2, D4, D7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import AliasRecord, Arm, Sticky, alias_key
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.codec import encode
from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.bound import read_bound
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import Kept, UnknownAdapterError
from lorayard_shared.jobs.rules import fits, misfits

NAME = "acme/tiny/echo"


def record(
    version: str,
    *,
    name: str = NAME,
    state: AdapterState = AdapterState.ACTIVE,
    tenants: tuple[str, ...] = (),
) -> AdapterRecord:
    return AdapterRecord(
        name=name,
        version=version,
        digest="sha256:" + f"{name}@{version}".encode().hex()[-40:].rjust(40, "0"),
        base_digest="sha256:" + "0" * 8,
        rank=4,
        alpha=8.0,
        targets=("q_proj",),
        size_bytes=1,
        state=state,
        tenants=tenants,
    )


def directory(*records: AdapterRecord, default: str | None = None) -> Directory:
    registry = AdapterRegistry()
    for one in records or (record("v1"), record("v2"), record("v3")):
        registry.on_change(one.key, encode(one))
    return Directory(registry, default)


def alias(book: Directory, alias: str = "stable", *, revision: int = 1, **shares: float) -> None:
    arms = tuple(Arm(version=version, weight=weight) for version, weight in shares.items())
    put(book, AliasRecord(adapter=NAME, alias=alias, revision=revision, arms=arms))


def put(book: Directory, made: AliasRecord) -> None:
    book.aliases.on_change(alias_key(made.adapter, made.alias), encode(made))


def asked(adapter: str | None = None, **given: object) -> Asked:
    values = {"tenant": "acme", "job": "j", "adapter": adapter, **given}
    return Asked(**values)  # type: ignore[arg-type]  # as the test says


def version(book: Directory, request: Asked, kept: Kept | None = None) -> str | None:
    found = book.resolve(request, kept).record
    return None if found is None else found.version


# ---- aliases


def test_an_alias_leads_to_its_version_and_the_answer_says_so__d4() -> None:
    book = directory()
    alias(book, "stable", v2=100)
    found = book.resolve(asked(f"{NAME}@stable"))
    assert found.record == record("v2")
    assert (found.rule, found.alias) == ("explicit", found.alias)
    assert found.alias is not None
    assert (found.alias.name, found.alias.revision) == (f"{NAME}@stable", 1)


def test_a_plain_name_follows_stable_and_without_it_the_newest__d4() -> None:
    book = directory()
    assert version(book, asked(NAME)) == "v3"
    alias(book, "next", v2=100)
    assert version(book, asked(NAME)) == "v3", "no other alias is followed"
    alias(book, "stable", v1=100)
    assert version(book, asked(NAME)) == "v1"
    alias(book, "stable", revision=2)
    assert version(book, asked(NAME)) == "v3", "it was taken away"


def test_a_version_is_that_version_whatever_aliases_say() -> None:
    book = directory()
    alias(book, v1=100)
    found = book.resolve(asked(f"{NAME}@v2"))
    assert (found.record, found.alias) == (record("v2"), None)


@pytest.mark.parametrize(
    ("spec", "words"),
    [(f"{NAME}@nightly", "has no alias 'nightly'; it has stable"), ("a/b/c@stable", "is not registered")],
)
def test_an_alias_that_is_not_there_is_refused(spec: str, words: str) -> None:
    book = directory()
    alias(book, v1=100)
    with pytest.raises(UnknownAdapterError, match=words):
        book.resolve(asked(spec))


def test_a_version_that_was_archived_leaves_its_share_to_the_others__b6() -> None:
    book = directory(record("v1"), record("v2", state=AdapterState.ARCHIVED))
    alias(book, v1=1, v2=99)
    assert version(book, asked(NAME)) == "v1"
    alias(book, revision=2, v2=100)
    with pytest.raises(UnknownAdapterError, match="leads to no version that serves"):
        book.resolve(asked(NAME))


@given(st.sampled_from(list(Sticky)), st.text(max_size=5), st.none() | st.text(max_size=5))
def test_whoever_a_split_is_sticky_by_keeps_one_version__d4(
    sticky: Sticky, user: str, session: str | None
) -> None:
    book = directory()
    arms = (Arm(version="v1", weight=50.0), Arm(version="v2", weight=50.0))
    put(book, AliasRecord(adapter=NAME, alias="stable", revision=1, arms=arms, sticky=sticky))
    found = {
        version(book, asked(NAME, job=f"j{number}", metadata={"user": user}, session=session))
        for number in range(50)
    }
    draws_each = sticky is Sticky.JOB or (sticky is Sticky.SESSION and session is None)
    assert len(found) == (2 if draws_each else 1)


def test_two_tenants_users_of_one_name_are_drawn_apart__d4() -> None:
    book = directory()
    alias(book, v1=50, v2=50)
    users = [{"user": f"u{number}"} for number in range(50)]
    acme = [version(book, asked(NAME, metadata=user)) for user in users]
    assert acme != [version(book, asked(NAME, tenant="other", metadata=user)) for user in users]


def test_one_that_has_begun_keeps_its_version_while_the_alias_has_any_use_for_it__d4() -> None:
    book = directory()
    alias(book, v1=1, v2=99)
    begun = {"bound": read_bound(f"{NAME}@stable=v1")}
    assert version(book, asked(NAME, metadata={"user": "u"})) == "v2"
    assert version(book, asked(NAME, metadata={"user": "u"}, **begun)) == "v1"
    alias(book, revision=2, v2=100)
    assert version(book, asked(NAME, **begun)) == "v2", "zero starts on what was taken out"
    alias(book, revision=3, v1=0, v2=100)
    assert version(book, asked(NAME, **begun)) == "v2"


@pytest.mark.parametrize("bound", ["", "=", "nonsense", f"{NAME}@other=v1", f"{NAME}@stable=v9"])
def test_what_somebody_else_says_was_begun_binds_nobody(bound: str) -> None:
    book = directory()
    alias(book, v2=100)
    assert version(book, asked(NAME, bound=read_bound(bound))) == "v2"


def test_a_session_stays_with_its_version_of_a_split_and_leaves_it_with_the_alias__b3__d4() -> None:
    book = directory()
    alias(book, v1=1, v2=99)
    ref = AdapterRef(name=NAME, version="v1", digest=record("v1").digest)
    kept = Kept(adapter=ref, alias=f"{NAME}@stable")
    assert (version(book, asked(), kept), book.resolve(asked(), kept).rule) == ("v1", "session")
    assert version(book, asked(NAME), kept) == "v1", "also when it names the alias"
    alias(book, revision=2, v2=100)
    assert version(book, asked(), kept) == "v2"
    alias(book, revision=3)
    assert version(book, asked(), kept) == "v1", "without the alias it is as if the version had been named"


def test_a_record_that_cannot_be_read_leaves_what_there_was__b6() -> None:
    book = directory()
    alias(book, v1=100)
    key = alias_key(NAME, "stable")
    for value in (
        b"",
        b"\xc1",
        b'{"adapter": "a/b/c"}',
        encode(AliasRecord(adapter=NAME, alias="x", revision=1)),
    ):
        assert book.aliases.on_change(key, value or b"{}") is None
    assert version(book, asked(NAME)) == "v1"


# ---- rules

RULES = {
    "rules": [
        {"name": "gold", "metadata": {"plan": {"in": ["gold", "silver"]}}, "adapter": f"{NAME}@v2"},
        {"name": "sums", "task": {"glob": "sum*"}, "adapter": f"{NAME}@v1"},
        {"name": "theirs", "tenant": "acme", "task": {"prefix": "sum"}, "adapter": "base"},
        {"name": "talks", "session": {"prefix": "chat-"}, "adapter": f"{NAME}@v3"},
        {"name": "rest", "adapter": NAME},
    ]
}


def rules(book: Directory, **table: object) -> Directory:
    book.rules.on_change(RULES_KEY, encode(RouteTable.model_validate(table)))
    return book


@pytest.mark.parametrize(
    ("request_", "rule", "chosen"),
    [
        (asked(f"{NAME}@v2", task="sum"), "explicit", "v2"),
        (asked(task="sum"), "tenant:theirs", None),
        (asked(task="sum", tenant="x"), "task:sums", "v1"),
        (asked(task="sum", tenant="x", metadata={"plan": "gold"}), "task:sums", "v1"),
        (asked(metadata={"plan": "gold"}), "metadata:gold", "v2"),
        (asked(session="chat-1"), "metadata:talks", "v3"),
        (asked(), "default:rest", "v3"),
    ],
)
def test_tenant_comes_before_task_before_metadata_before_default__b1__b2(
    request_: Asked, rule: str, chosen: str | None
) -> None:
    book = rules(directory(), **RULES)
    assert (book.resolve(request_).rule, version(book, request_)) == (rule, chosen)


def described(tenant: str, task: str | None, session: str | None, plan: str) -> Asked:
    return asked(tenant=tenant, task=task, session=session, metadata={"plan": plan} if plan else {})


@given(
    st.builds(
        described,
        st.sampled_from(["acme", "x"]),
        st.sampled_from([None, "sum", "tally"]),
        st.sampled_from([None, "chat-1", "s"]),
        st.sampled_from(["", "gold", "tin"]),
    )
)
def test_a_rule_fits_exactly_where_nothing_is_said_against_it__b1(request_: Asked) -> None:
    for rule in RouteTable.model_validate(RULES).rules:
        assert fits(rule, request_) == (not list(misfits(rule, request_)))


def test_the_order_is_the_operators__b2() -> None:
    order = ["task", "tenant", "explicit", "session", "metadata", "default"]
    book = rules(directory(), order=order, **RULES)
    assert book.resolve(asked(task="sum")).rule == "task:sums"
    assert book.resolve(asked(f"{NAME}@v2", task="sum")).rule == "task:sums"
    kept = Kept(adapter=None)
    assert book.resolve(asked(metadata={"plan": "gold"}), kept).rule == "session"


def test_of_a_stage_the_first_that_fits_decides__b1() -> None:
    twice = [
        {"name": "one", "task": "x", "adapter": f"{NAME}@v1"},
        {"name": "two", "task": "x", "adapter": f"{NAME}@v2"},
    ]
    assert rules(directory(), rules=twice).resolve(asked(task="x")).rule == "task:one"


def test_without_rules_a_session_comes_before_the_default_and_that_before_the_base__b1() -> None:
    kept = Kept(adapter=AdapterRef(name=NAME, version="v1", digest=record("v1").digest))
    book = directory(default=f"{NAME}@v2")
    assert (book.resolve(asked(), kept).rule, version(book, asked(), kept)) == ("session", "v1")
    assert (book.resolve(asked()).rule, version(book, asked())) == ("default", "v2")
    assert directory().resolve(asked()).rule == "base"


def test_a_rule_may_name_an_alias__b1__d4() -> None:
    book = rules(directory(), rules=[{"name": "r", "adapter": f"{NAME}@next"}])
    alias(book, "next", v2=100)
    found = book.resolve(asked())
    assert (found.rule, version(book, asked())) == ("default:r", "v2")
    assert found.alias is not None


def test_a_table_that_cannot_be_read_leaves_the_one_there_was__b6() -> None:
    book = rules(directory(), **RULES)
    assert not book.rules.on_change(RULES_KEY, b'{"rules": [{"name": "x", "tenants": "acme"}]}')
    assert book.resolve(asked()).rule == "default:rest"
    book.rules.on_change(RULES_KEY, None)
    assert book.resolve(asked()).rule == "base"


# ---- who may use what

OURS = "acme/tiny/ours"


def guarded() -> Directory:
    book = directory(record("v1"), record("v1", name=OURS, tenants=("acme",)), default=None)
    arms = (Arm(version="v1", weight=100.0),)
    put(book, AliasRecord(adapter=OURS, alias="stable", revision=1, arms=arms))
    return book


def refusal(book: Directory, request: Asked) -> str:
    with pytest.raises(UnknownAdapterError) as caught:
        book.resolve(request)
    return caught.value.reason.replace(OURS, "NAME").replace("acme/tiny/none", "NAME")


@pytest.mark.parametrize("word", ["", "@v1", "@v7", "@stable", "@other"])
def test_what_a_tenant_may_not_use_is_refused_as_what_does_not_exist__d7(word: str) -> None:
    book = guarded()
    hidden = refusal(book, asked(f"{OURS}{word}", tenant="x"))
    assert hidden == refusal(book, asked(f"acme/tiny/none{word}", tenant="x"))
    assert "is not registered" in hidden
    assert version(book, asked(OURS)) == "v1", "whose it is, may"


@pytest.mark.parametrize("spec", [OURS, f"{OURS}@v1", f"{OURS}@stable"])
def test_no_rule_and_no_default_leads_a_tenant_to_it__d7(spec: str) -> None:
    assert "is not registered" in refusal(
        rules(guarded(), rules=[{"name": "r", "adapter": spec}]), asked(tenant="x")
    )
    book = guarded()
    by_default = Directory(book.registry, spec)
    by_default.aliases.known.update(book.aliases.known)
    assert "is not registered" in refusal(by_default, asked(tenant="x"))
    with pytest.raises(UnknownAdapterError) as caught:
        by_default.resolve(asked(tenant="x"))
    assert caught.value.told.startswith("the default names an adapter that is not there")


@pytest.mark.parametrize("alias", [None, f"{OURS}@stable"])
def test_no_session_leads_a_tenant_to_it__d7(alias: str | None) -> None:
    """As where it was removed: the session begins anew."""
    book = guarded()
    ref = AdapterRef(name=OURS, version="v1", digest=record("v1", name=OURS).digest)
    kept = Kept(adapter=ref, alias=alias)
    assert book.resolve(asked(tenant="acme"), kept).rule == "session"
    assert book.resolve(asked(tenant="x"), kept).rule == "base"


@pytest.mark.parametrize("by_alias", [False, True])
def test_a_session_leaves_what_its_tenant_may_use_no_more__b3__d7(by_alias: bool) -> None:
    """Whoever may use a version changes while the session lives."""
    book = directory(record("v1"), record("v2"))
    alias(book, v1=1, v2=99)
    spec = f"{NAME}@stable" if by_alias else None
    kept = Kept(adapter=AdapterRef(name=NAME, version="v2", digest=record("v2").digest), alias=spec)
    assert version(book, asked(tenant="x"), kept) == "v2"
    theirs = [record(one, tenants=("acme",)) for one in ("v1", "v2")]
    book.registry.on_change(theirs[1].key, encode(theirs[1]))
    assert version(book, asked(tenant="acme"), kept) == "v2"
    found = book.resolve(asked(tenant="x"), kept)
    assert (found.rule, found.record) == ("session", record("v1"))
    book.registry.on_change(theirs[0].key, encode(theirs[0]))
    assert book.resolve(asked(tenant="x"), kept).rule == "base"


def test_versions_that_a_tenant_may_not_use_are_left_out__d7() -> None:
    book = directory(record("v1"), record("v2", tenants=("acme",)))
    assert (version(book, asked(NAME)), version(book, asked(NAME, tenant="x"))) == ("v2", "v1")
    alias(book, v1=1, v2=99)
    assert {version(book, asked(NAME, tenant="x", job=f"j{n}")) for n in range(20)} == {"v1"}
    alias(book, revision=2, v2=100)
    assert "has no alias 'stable'; it has none" in refusal(book, asked(f"{NAME}@stable", tenant="x"))
