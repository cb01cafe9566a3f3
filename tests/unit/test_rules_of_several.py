"""Rules that name several adapters, and rules that add to what was chosen (C7, B1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_schemas.adapter import AdapterKind, AdapterRecord, AdapterState
from lorayard_schemas.additions import MAX_LEFT_OUT
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.codec import encode
from lorayard_schemas.composition import MAX_PARTS, Composition, CompositionPolicy
from lorayard_schemas.routes import RULES_KEY, RouteTable, Stage
from lorayard_schemas.rule_parts import Choice, Conflict
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.refusals import unknown_adapter
from lorayard_shared.jobs.resolve import BadCompositionError, Kept, Resolution, UnknownAdapterError

BASE_DIGEST = "sha256:" + "0" * 8
SUMS, PIRATE, POLITE, OTHER, DORA, THEIRS = (
    f"acme/tiny/{name}" for name in ("sums", "pirate", "polite", "other", "dora", "theirs")
)


def record(name: str, version: str = "1", **more: object) -> AdapterRecord:
    given = {
        "name": name,
        "version": version,
        "digest": "sha256:" + f"{name}@{version}".encode().hex()[-40:].rjust(40, "0"),
        "base_digest": BASE_DIGEST,
        "rank": 4,
        "alpha": 8.0,
        "targets": ("q_proj",),
        "size_bytes": 1,
        "state": AdapterState.ACTIVE,
        **more,
    }
    return AdapterRecord.model_validate(given)


def directory(*rules: Mapping[str, object], default: str | None = None, **table: object) -> Directory:
    registry = AdapterRegistry()
    known = [record(name, version) for name in (SUMS, PIRATE, POLITE) for version in ("1", "2")]
    known += [record(OTHER, base_digest="sha256:" + "1" * 8), record(DORA, kind=AdapterKind.DORA)]
    known += [record(THEIRS, tenants=("them",))]
    known += [record(f"acme/tiny/n{number}") for number in range(MAX_PARTS)]
    for one in known:
        registry.on_change(one.key, encode(one))
    book = Directory(registry, default)
    given = [{"name": f"r{number}", **rule} for number, rule in enumerate(rules)]
    assert book.rules.on_change(RULES_KEY, encode(RouteTable.model_validate({"rules": given, **table})))
    return book


def alias(book: Directory, name: str, revision: int = 1, **shares: float) -> None:
    arms = tuple(Arm(version=version[1:], weight=weight) for version, weight in shares.items())
    made = AliasRecord(adapter=name, alias="stable", revision=revision, arms=arms)
    book.aliases.on_change(alias_key(name, "stable"), encode(made))


def asked(adapter: str | None = None, **given: object) -> Asked:
    values = {"tenant": "acme", "job": "j", "adapter": adapter, **given}
    return Asked(**values)  # type: ignore[arg-type]  # as the test says


def part(adapter: str, weight: float = 1.0) -> dict[str, Any]:
    return {"adapter": adapter, "weight": weight}


def add(*parts: tuple[str, float], **more: object) -> dict[str, Any]:
    return {"add": [part(*each) for each in parts], **more}


def made(found: Resolution) -> list[tuple[str, str, float]]:
    """Name, version and weight of every part."""
    if found.composition is None:
        return [] if found.record is None else [(found.record.name, found.record.version, 1.0)]
    return [(one.name, one.version, one.weight) for one in found.composition.applied.parts]


def left_out(found: Resolution) -> list[tuple[str, str]]:
    return [] if found.additions is None else [(one.adapter, one.rule) for one in found.additions.left_out]


def added_by(found: Resolution) -> tuple[str, ...]:
    return () if found.additions is None else found.additions.by


STYLE = add((PIRATE, 0.5))
TASK = {"task": "sum", "adapter": SUMS}


# ---- a rule of several


def test_a_rule_of_several_makes_the_composition_that_it_describes__c7__b1() -> None:
    several = [part(SUMS, 0.7), part(f"{PIRATE}@1", 0.3)]
    book = directory({"adapters": several, "policy": "ties", "density": 0.5, "majority_sign": "frequency"})
    found = book.resolve(asked())
    assert (made(found), found.rule) == ([(SUMS, "2", 0.7), (PIRATE, "1", 0.3)], "default:r0")
    assert found.composition is not None
    by_hand = Composition.model_validate(
        {"parts": several, "policy": "ties", "density": 0.5, "majority_sign": "frequency"}
    )
    own = book.resolve(asked(f"+{SUMS}", composition=by_hand)).composition
    assert own is not None
    assert found.composition.applied == own.applied, "a job that asks for it gets the very same"


def test_a_rule_of_one_at_full_strength_is_that_adapter__c7() -> None:
    book = directory({"adapters": [part(f"{SUMS}@1")]})
    found = book.resolve(asked())
    assert (found.composition, found.ref is not None and found.ref.version) == (None, "1")


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        ("acme/tiny/none", UnknownAdapterError, "rule 'r0': adapter 'acme/tiny/none' is not registered"),
        (THEIRS, UnknownAdapterError, f"rule 'r0': adapter '{THEIRS}' is not registered"),
        (OTHER, BadCompositionError, "another base model"),
        (DORA, BadCompositionError, "DoRA"),
    ],
)
def test_a_rule_of_several_goes_without_none_unless_it_says_so__c7__d7(
    other: str, error: type[Exception], words: str
) -> None:
    several = {"adapters": [part(SUMS), part(other, 0.5)]}
    with pytest.raises(error, match=words):
        directory(several).resolve(asked())
    found = directory({**several, "on_missing": "skip"}).resolve(asked())
    assert (made(found), left_out(found)) == ([(SUMS, "2", 1.0)], [(other, "r0")])
    assert found.composition is None


def test_a_rule_of_which_nothing_is_left_refuses__c7() -> None:
    with pytest.raises(
        UnknownAdapterError, match=r"rule 'r0' has no adapter left: .*none' is not registered"
    ):
        directory({"adapters": [part("acme/tiny/none")], "on_missing": "skip"}).resolve(asked())


def test_one_that_is_left_of_several_is_weighed_alone__c7() -> None:
    several = [part(SUMS, 0.4), part("acme/tiny/none", 0.5)]
    found = directory({"adapters": several, "policy": "ties", "density": 0.5, "on_missing": "skip"}).resolve(
        asked()
    )
    assert made(found) == [(SUMS, "2", 0.4)]
    assert found.composition is not None
    assert found.composition.applied.policy is CompositionPolicy.SUM


# ---- rules that add


def test_task_by_rule_and_style_by_tenant_make_one_composition__c7__b1() -> None:
    book = directory({**STYLE, "tenant": "acme"}, TASK, add((POLITE, -0.25)))
    found = book.resolve(asked(task="sum"))
    assert made(found) == [(SUMS, "2", 1.0), (PIRATE, "2", 0.5), (POLITE, "2", -0.25)]
    assert (found.rule, added_by(found)) == ("task:r1", ("r0", "r2"))
    other = book.resolve(asked(task="sum", tenant="other"))
    assert made(other) == [(SUMS, "2", 1.0), (POLITE, "2", -0.25)]


@pytest.mark.parametrize(
    ("request_", "kept", "kind"),
    [
        (asked(SUMS), None, "explicit"),
        (asked(tenant="t"), None, "tenant"),
        (asked(task="sum"), None, "task"),
        (asked(metadata={"plan": "gold"}), None, "metadata"),
        (asked(session="s"), Kept(adapter=None), "base"),
        (asked(), None, "default"),
    ],
)
def test_what_is_added_to_is_declared__c7(request_: Asked, kept: Kept | None, kind: str) -> None:
    rules = (
        {"tenant": "t", "adapter": SUMS},
        TASK,
        {"metadata": {"plan": "gold"}, "adapter": SUMS},
    )
    usual = directory(*rules, STYLE, default=SUMS).resolve(request_, kept)
    assert bool(added_by(usual)) is (kind not in ("explicit", "base"))
    for on, wanted in (([kind], True), (["semantic"], False)):
        book = directory(*rules, {**STYLE, "on": on}, default=SUMS)
        assert bool(added_by(book.resolve(request_, kept))) is wanted


def test_a_session_is_added_to_as_it_was_when_it_chose__c7__b3() -> None:
    book = directory(STYLE)
    ref = book.resolve(asked(SUMS)).ref
    for origin, wanted in ((None, True), ("task", True), ("explicit", False), ("base", False)):
        found = book.resolve(asked(session="s"), Kept(adapter=ref, origin=origin))
        assert (found.rule, bool(added_by(found))) == ("session", wanted)


def test_what_is_added_to_the_base_model_stands_alone__c7() -> None:
    found = directory({**add((PIRATE, 1.0)), "on": ["base"]}).resolve(asked())
    assert (made(found), found.rule, added_by(found)) == ([(PIRATE, "2", 1.0)], "base", ("r0",))
    weighed = directory({**add((PIRATE, 0.5)), "on": ["base"]}).resolve(asked())
    assert made(weighed) == [(PIRATE, "2", 0.5)]


def test_a_job_with_a_composition_of_its_own_is_left_alone_unless_a_rule_says_explicit__c7() -> None:
    parts = [part(SUMS), part(POLITE)]
    own = Composition.model_validate({"parts": parts, "policy": "ties", "density": 0.5})
    request = asked(f"+{SUMS}", composition=own)
    assert made(directory(STYLE).resolve(request)) == [(SUMS, "2", 1.0), (POLITE, "2", 1.0)]
    found = directory({**STYLE, "on": ["explicit"], "policy": "cat"}).resolve(request)
    assert made(found) == [(SUMS, "2", 1.0), (POLITE, "2", 1.0), (PIRATE, "2", 0.5)]
    assert found.composition is not None
    applied = found.composition.applied
    assert (applied.policy, applied.density) == (CompositionPolicy.TIES, 0.5), "its own policy stays"


def test_the_first_rule_that_says_how_decides_on_how_single_adapters_are_added__c7() -> None:
    svd = add((PIRATE, 0.5), policy="svd", svd_rank=6)
    found = directory(TASK, add((POLITE, 1.0)), svd, add((f"{OTHER}", 1.0), policy="cat")).resolve(
        asked(task="sum")
    )
    assert found.composition is not None
    applied = found.composition.applied
    assert (applied.policy, applied.svd_rank, len(applied.parts)) == (CompositionPolicy.SVD, 6, 3)


@pytest.mark.parametrize("name", ["acme/tiny/none", f"{SUMS}@nightly", THEIRS, OTHER, DORA])
def test_what_cannot_be_added_is_left_out_and_told_unless_it_is_to_refuse__c7__d7(name: str) -> None:
    book = directory(TASK, add((name, 1.0), (PIRATE, 0.5)))
    found = book.resolve(asked(task="sum"))
    assert made(found) == [(SUMS, "2", 1.0), (PIRATE, "2", 0.5)]
    assert left_out(found) == [(name, "r1")]
    with pytest.raises(UnknownAdapterError, match="rule 'r1': "):
        directory(TASK, add((name, 1.0), on_missing="refuse")).resolve(asked(task="sum"))


def test_a_tenant_learns_no_more_of_what_it_may_not_use_than_of_what_is_not_there__d7() -> None:
    told: list[str] = []
    for name in (THEIRS, "acme/tiny/none"):
        found = directory(TASK, add((name, 1.0))).resolve(asked(task="sum"))
        assert found.additions is not None
        told.append(found.additions.model_dump_json().replace(name, "it"))
    assert told[0] == told[1]


@pytest.mark.parametrize("name", [THEIRS, "acme/tiny/none", f"{SUMS}@nightly", f"{SUMS}@9"])
def test_a_tenant_is_not_told_the_name_of_what_a_rule_lacks_for_it__d7(name: str) -> None:
    found = directory(TASK, add((name, 1.0), (DORA, 1.0))).resolve(asked(task="sum"))
    assert found.additions is not None
    assert name in found.additions.label, "an operator is"
    told = found.additions.for_tenant
    assert name not in told.model_dump_json()
    assert told.left_out[0].label == "without an adapter of r1: it is not there for this tenant"
    assert told.left_out[1:] == found.additions.left_out[1:], "what it sees is told"


@pytest.mark.parametrize("name", [THEIRS, "acme/tiny/none"])
@pytest.mark.parametrize(
    "rules",
    [
        [{"adapter": "?"}],
        [{"adapters": [part(SUMS), part("?")]}],
        [{"adapters": [part("?")], "on_missing": "skip"}],
        [add(("?", 0.5), on=["base"], on_missing="refuse")],
    ],
)
def test_a_refusal_does_not_tell_a_tenant_which_adapter_a_rule_names__d7(
    name: str, rules: list[dict[str, Any]]
) -> None:
    named = json.loads(json.dumps(rules).replace("?", name))
    with pytest.raises(UnknownAdapterError, match=name) as caught:
        directory(*named).resolve(asked())
    message = unknown_adapter(caught.value, None).message
    assert name not in message
    assert message.startswith("rule 'r0' ")


def test_there_is_a_word_for_everything_that_can_have_chosen__c7() -> None:
    assert set(Choice) == {*Stage, "base"}


def test_nothing_is_laid_on_dora_magnitudes__c7() -> None:
    for adding, conflict in ((STYLE, "first"), (add((DORA, 0.5)), "sum"), (add((DORA, 0.5)), "last")):
        found = directory({"adapter": DORA}, adding, conflict=conflict).resolve(asked())
        named = adding["add"][0]["adapter"]
        assert (made(found), left_out(found)) == ([(DORA, "1", 1.0)], [(named, "r1")])
        assert found.composition is None


def test_a_composition_stays_as_small_as_any_other__c7() -> None:
    many = [add((f"acme/tiny/n{number}", 1.0)) for number in range(MAX_PARTS)]
    found = directory(TASK, *many).resolve(asked(task="sum"))
    assert len(made(found)) == MAX_PARTS
    assert left_out(found) == [(f"acme/tiny/n{MAX_PARTS - 1}", f"r{MAX_PARTS}")]


def test_of_much_that_is_left_out_the_result_tells_some_and_how_many__c7() -> None:
    names = [f"acme/tiny/none{number}" for number in range(MAX_LEFT_OUT + 4)]
    rules = [add(*((name, 1.0) for name in names[at : at + 4])) for at in range(0, len(names), 4)]
    found = directory(TASK, *rules).resolve(asked(task="sum"))
    assert found.additions is not None
    assert len(found.additions.left_out) == MAX_LEFT_OUT
    assert found.additions.left_out[-1].why.startswith("5 more")


# ---- what comes twice

TWICE = (f"{PIRATE}@1", -0.75)


@pytest.mark.parametrize(
    ("conflict", "second", "wanted", "by", "out"),
    [
        ("first", TWICE, [("2", 0.5)], ("r1",), [(f"{PIRATE}@1", "r2")]),
        ("last", TWICE, [("1", -0.75)], ("r2",), [(f"{PIRATE}@2", "r1")]),
        ("max", TWICE, [("1", -0.75)], ("r2",), [(f"{PIRATE}@2", "r1")]),
        ("max", (PIRATE, 0.25), [("2", 0.5)], ("r1",), [(f"{PIRATE}@2", "r2")]),
        ("sum", TWICE, [("2", 0.5), ("1", -0.75)], ("r1", "r2"), []),
        ("sum", (PIRATE, 0.25), [("2", 0.75)], ("r1", "r2"), []),
        ("sum", (PIRATE, -0.5), [("2", 0.5)], ("r1",), [(PIRATE, "r2")]),
        ("sum", (PIRATE, 99.9), [("2", 0.5)], ("r1",), [(PIRATE, "r2")]),
    ],
)
def test_an_adapter_that_comes_twice_is_seen_to_by_the_tables_policy__c7(
    conflict: str,
    second: tuple[str, float],
    wanted: list[tuple[str, float]],
    by: tuple[str, ...],
    out: list[tuple[str, str]],
) -> None:
    found = directory(TASK, STYLE, add(second), conflict=conflict).resolve(asked(task="sum"))
    assert made(found) == [(SUMS, "2", 1.0), *((PIRATE, *each) for each in wanted)]
    assert (added_by(found), left_out(found)) == (by, out)


def test_a_table_may_refuse_what_comes_twice__c7() -> None:
    book = directory(TASK, STYLE, add(TWICE), conflict="refuse")
    with pytest.raises(BadCompositionError, match=f"rule 'r2' names {PIRATE}@1, and {PIRATE}@2 is there"):
        book.resolve(asked(task="sum"))


def test_a_rule_can_put_another_version_in_the_place_of_what_was_chosen__c7() -> None:
    found = directory(TASK, add((f"{SUMS}@1", 1.0)), conflict="last").resolve(asked(task="sum"))
    assert (made(found), left_out(found)) == ([(SUMS, "1", 1.0)], [(f"{SUMS}@2", "")])
    assert found.composition is None


def test_one_rule_may_mix_two_versions__c7() -> None:
    several = {"adapters": [part(f"{SUMS}@1", 0.5), part(f"{SUMS}@2", 0.5)]}
    assert made(directory(several).resolve(asked())) == [(SUMS, "1", 0.5), (SUMS, "2", 0.5)]
    found = directory(several, add((SUMS, 3.0)), conflict="last").resolve(asked())
    assert made(found) == [(SUMS, "2", 3.0)]


ADDED = st.tuples(
    st.sampled_from([SUMS, f"{SUMS}@1", PIRATE, f"{PIRATE}@1", POLITE, OTHER, DORA, "acme/tiny/none"]),
    st.floats(-2, 2).filter(lambda weight: weight != 0),
)


@given(
    st.lists(st.lists(ADDED, min_size=1, max_size=3, unique_by=lambda one: one[0]), max_size=6),
    st.sampled_from(Conflict),
)
def test_whatever_rules_add_there_comes_a_sound_composition_or_a_refusal__c7(
    rules: list[list[tuple[str, float]]], conflict: Conflict
) -> None:
    book = directory(TASK, *(add(*parts) for parts in rules), conflict=conflict)
    try:
        found = book.resolve(asked(task="sum"))
    except BadCompositionError:
        assert conflict is Conflict.REFUSE
        return
    parts = made(found)
    assert 1 <= len(parts) <= MAX_PARTS
    assert len({(name, version) for name, version, _ in parts}) == len(parts)
    assert {name for name, _, _ in parts}.isdisjoint({OTHER, DORA})
    assert set(added_by(found)) <= {f"r{number}" for number in range(1, len(rules) + 1)}
    assert found == book.resolve(asked(task="sum")), "the same request gets the same"


# ---- aliases of parts


def users(book: Directory) -> dict[str, str]:
    """User -> the version of the style that it gets."""
    found: dict[str, str] = {}
    for number in range(200):
        user = f"u{number}"
        parts = made(book.resolve(asked(task="sum", job=f"j{number}", metadata={"user": user})))
        found[user] = {name: version for name, version, _ in parts}[PIRATE]
    return found


def test_parts_are_drawn_sticky_each_by_its_own_alias__c7__d4() -> None:
    book = directory(TASK, STYLE)
    alias(book, PIRATE, v1=50, v2=50)
    alias(book, SUMS, 3, v1=50, v2=50)
    first = users(book)
    assert 60 < sum(version == "1" for version in first.values()) < 140
    assert users(book) == first
    found = book.resolve(asked(task="sum", metadata={"user": "u1"}))
    assert found.composition is not None
    named = [one.alias for one in found.composition.applied.parts]
    assert [(one.name, one.revision) for one in named if one is not None] == [
        (f"{SUMS}@stable", 3),
        (f"{PIRATE}@stable", 1),
    ]


def test_a_part_keeps_its_version_while_its_alias_has_any_use_for_it__c7__d4() -> None:
    book = directory(TASK, STYLE)
    alias(book, PIRATE, v1=1, v2=99)
    alias(book, SUMS, v1=1, v2=99)
    bound = {f"{PIRATE}@stable": "1", f"{SUMS}@stable": "1", "acme/tiny/gone@stable": "7"}
    found = book.resolve(asked(task="sum", bound=bound))
    assert made(found) == [(SUMS, "1", 1.0), (PIRATE, "1", 0.5)]
    assert found.bound == {f"{SUMS}@stable": "1", f"{PIRATE}@stable": "1"}
    alias(book, PIRATE, 2, v2=100)
    assert made(book.resolve(asked(task="sum", bound=bound))) == [(SUMS, "1", 1.0), (PIRATE, "2", 0.5)]
