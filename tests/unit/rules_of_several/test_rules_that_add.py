"""Rules that add to what was chosen (C7, B1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.rules_of_several.conftest import (
    DORA,
    OTHER,
    PIRATE,
    POLITE,
    STYLE,
    SUMS,
    TASK,
    THEIRS,
    add,
    added_by,
    alias,
    asked,
    directory,
    left_out,
    made,
    part,
)

from lorayard_schemas.additions import MAX_LEFT_OUT
from lorayard_schemas.composition import MAX_PARTS, Composition, CompositionPolicy
from lorayard_schemas.routes import Stage
from lorayard_schemas.rule_parts import Choice
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.refusals import unknown_adapter
from lorayard_shared.jobs.resolve import Kept, UnknownAdapterError


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
