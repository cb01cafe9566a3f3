"""Names in subjects and keys (E1): nothing a name contains reaches a subject as dot, wildcard or space."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lorayard_schemas.names import (
    AdapterName,
    AdapterSpec,
    Version,
    check_adapter_spec,
    key_token,
    split_version,
    subject_token,
    token_name,
    version_order,
)

names = st.text(st.characters(codec="utf-8"), min_size=1)


@given(names)
def test_a_name_comes_back_from_its_token(name: str) -> None:
    assert token_name(subject_token(name)) == name


@given(names)
def test_no_token_holds_what_a_subject_reads_as_its_own(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9_/%-]+", subject_token(name))
    assert re.fullmatch(r"[a-z0-9_/=-]+", key_token(name))


@given(names, names)
def test_two_names_never_share_a_token(one: str, other: str) -> None:
    assert (subject_token(one) == subject_token(other)) == (one == other)
    assert (key_token(one) == key_token(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("acme/gemma3-270m/keywords", "acme/gemma3-270m/keywords"),
        ("acme/v1.5/keywords@2", "acme/v1%2e5/keywords%402"),
        ("Acme", "%41cme"),
        (">", "%3e"),
        ("*", "%2a"),
        ("a b", "a%20b"),
        ("50%", "50%25"),
        ("Ünï", "%c3%9cn%c3%af"),
    ],
)
def test_tokens_are_as_written_here(name: str, token: str) -> None:
    """Other languages have to come to the same."""
    assert subject_token(name) == token


@pytest.mark.parametrize("name", ["", "\ud800"], ids=["empty", "half a character"])
def test_what_has_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the kind is the contract
        subject_token(name)


@pytest.mark.parametrize("token", ["", "%ff", "%c3"])
def test_what_stands_for_no_name_is_refused(token: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the kind is the contract
        token_name(token)


@pytest.mark.parametrize(
    "spec", ["a/b/c", "acme/gemma3-270m/keywords", "a/b.1/c_d@2", "a/b/c@v1.0+x", "base"]
)
def test_adapters_may_be_asked_for_like_this(spec: str) -> None:
    assert check_adapter_spec(spec) == spec


@pytest.mark.parametrize(
    "spec",
    [
        *("", "a", "a/b", "a/b/c/d", "A/b/c", "a/b/c@", "a/b/c@-1", "a/b/c@1@2", "a//c", "../b/c", "a/b/.c"),
        *("base@1", "a/b/c\n", "a/b/c@1\n", "a/b/c@²", "_", "a/b/*", f"{'a' * 65}/b/c"),
    ],
)
def test_adapters_may_not_be_asked_for_like_this(spec: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](AdapterSpec).validate_python(spec)


@pytest.mark.parametrize("name", ["base", "a/b/c@1", "a/b"])
def test_nothing_is_registered_under_a_name_nobody_can_ask_for(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](AdapterName).validate_python(name)


@pytest.mark.parametrize("version", ["", "²", "1 2", "1/2", "v@1", ".1", "1\n", "1" * 65])
def test_no_version_is_registered_that_nobody_can_ask_for(version: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](Version).validate_python(version)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2", "10"), ("1.9", "1.10"), ("v1", "v2"), ("1.0-rc2", "1.0-rc10"), ("1", "1.1")],
)
def test_versions_are_ordered_as_people_count(older: str, newer: str) -> None:
    assert version_order(older) < version_order(newer)


@given(st.lists(st.text(), min_size=1))
def test_any_texts_can_be_ordered_as_versions(versions: list[str]) -> None:
    """One odd version in a bucket must not end the dispatcher that looks for the newest."""
    assert sorted(versions, key=version_order)


def test_a_spec_splits_into_name_and_version() -> None:
    assert split_version("a/b/c@2") == ("a/b/c", "2")
    assert split_version("a/b/c") == ("a/b/c", None)
