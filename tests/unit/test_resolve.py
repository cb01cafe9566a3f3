"""Which adapter a job gets (B1): the one it names, else the yard's default, else the base model."""

from __future__ import annotations

import pytest

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.codec import encode
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.resolve import Rule, UnknownAdapterError, resolve


def record(version: str, *, name: str = "a/b/c", state: AdapterState = AdapterState.ACTIVE) -> AdapterRecord:
    return AdapterRecord(
        name=name,
        version=version,
        digest="sha256:" + version.encode().hex().rjust(8, "0"),
        base_digest="sha256:" + "0" * 8,
        rank=5,
        alpha=16.0,
        targets=("q_proj",),
        size_bytes=1,
        state=state,
    )


KNOWN = {"a/b/c": {version: record(version) for version in ("1", "2", "10")}, "d/e/f": {"1": record("1")}}


def test_a_named_adapter_is_taken() -> None:
    found = resolve("d/e/f", "a/b/c", KNOWN)
    assert (found.record, found.rule) == (KNOWN["d/e/f"]["1"], Rule.EXPLICIT)


def test_a_named_adapter_without_version_is_the_newest() -> None:
    found = resolve("a/b/c", None, KNOWN).ref
    assert found is not None
    assert found.version == "10"


def test_a_named_version_is_that_version() -> None:
    found = resolve("a/b/c@2", None, KNOWN).ref
    assert found is not None
    assert (found.name, found.version, found.digest) == ("a/b/c", "2", KNOWN["a/b/c"]["2"].digest)


def test_no_name_is_the_default() -> None:
    found = resolve(None, "a/b/c@1", KNOWN)
    assert (found.record, found.rule) == (KNOWN["a/b/c"]["1"], Rule.DEFAULT)


def test_no_name_and_no_default_is_the_base_model() -> None:
    found = resolve(None, None, KNOWN)
    assert (found.record, found.ref, found.rule) == (None, None, Rule.BASE)


@pytest.mark.parametrize(
    ("explicit", "default", "rule"), [("base", "a/b/c", Rule.EXPLICIT), (None, "base", Rule.DEFAULT)]
)
def test_the_base_model_can_be_named(explicit: str | None, default: str | None, rule: Rule) -> None:
    found = resolve(explicit, default, KNOWN)
    assert (found.record, found.rule) == (None, rule)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("x/y/z", "not registered"),
        ("a/b/c@3", "only 1, 2, 10"),
        ("nonsense", "write {org}/{model-family}/{task}"),
        ("a/b/c@", "not a version"),
        ("A/b/c", "write {org}"),
    ],
)
def test_an_unknown_adapter_is_refused_with_what_to_do(spec: str, words: str) -> None:
    with pytest.raises(UnknownAdapterError) as caught:
        resolve(spec, "a/b/c", KNOWN)
    assert caught.value.spec == spec
    assert words in caught.value.reason


def test_a_version_that_is_not_active_does_not_serve() -> None:
    known = {"a/b/c": {"1": record("1"), "2": record("2", state=AdapterState.ARCHIVED)}}
    found = resolve("a/b/c", None, known).ref
    assert found is not None
    assert found.version == "1"
    with pytest.raises(UnknownAdapterError):
        resolve("a/b/c@2", None, known)


def test_an_odd_version_in_the_bucket_does_not_stop_the_others() -> None:
    """Whoever writes to the bucket, the dispatcher goes on."""
    odd = record("1").model_copy(update={"version": "²"})
    found = resolve("a/b/c", None, {"a/b/c": {"²": odd, "1": record("1")}})
    assert found.record is not None


# ---- the registry that feeds it


def test_an_adapters_columns_are_its_ranks_pages_or_its_rank_where_nobody_has_said__b11() -> None:
    registry = AdapterRegistry()
    said, unsaid = record("1").model_copy(update={"columns": 8}), record("2")
    registry.on_change(said.key, encode(said))
    registry.on_change(unsaid.key, encode(unsaid))
    assert registry.columns_of == {said.digest: 8, unsaid.digest: 5}


def test_the_registry_follows_the_bucket() -> None:
    registry = AdapterRegistry()
    registry.on_change(record("1").key, encode(record("1")))
    registry.on_change(record("2").key, encode(record("2")))
    assert set(registry.known["a/b/c"]) == {"1", "2"}
    assert registry.base_of[record("1").digest] == record("1").base_digest
    assert registry.bytes_of[record("1").digest] == 1
    registry.on_change(record("2").key, None)
    assert set(registry.known["a/b/c"]) == {"1"}
    registry.on_change(record("1").key, None)
    registry.on_change("never seen", None)
    assert registry.known == {}


def test_a_record_that_somebody_copied_to_another_key_hides_nothing() -> None:
    registry = AdapterRegistry()
    registry.on_change(record("1").key, encode(record("1")))
    other_bytes = record("1").model_copy(update={"digest": "sha256:" + "f" * 8})
    for value in (encode(other_bytes), None):
        registry.on_change(record("2").key, value)
        assert registry.known == {"a/b/c": {"1": record("1")}}
    registry.on_change(record("1").key, None)
    assert registry.known == {}


@pytest.mark.parametrize("value", [b"", b"\xc1", b'{"name": "a/b/c"}'])
def test_an_unreadable_record_counts_as_absent(value: bytes) -> None:
    registry = AdapterRegistry()
    registry.on_change(record("1").key, encode(record("1")))
    registry.on_change(record("1").key, value)
    assert registry.known == {}
