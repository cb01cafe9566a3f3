"""Broken adapters: each is refused with its reason before any tier holds it, and nobody else notices."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorayard_cli.bench.engine_sides.corpus import MAX_BYTES, MAX_RANK, BadAdapter, make_corpus
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterError
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.engine.outcome import Failed, FailureKind, Succeeded
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.tiny_model import TINY_SHAPES

Tally = Callable[[str, int], None]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus") / "root"


@pytest.fixture(scope="module")
def corpus(root: Path) -> tuple[BadAdapter, ...]:
    return make_corpus(root)


def test_the_catalogue_refuses_the_whole_corpus_and_says_why__c8_g3_g5(
    root: Path, corpus: tuple[BadAdapter, ...], tally: Tally
) -> None:
    found = CatalogScanner(root=root, shapes=TINY_SHAPES, max_rank=MAX_RANK, max_bytes=MAX_BYTES).scan()
    assert [entry.name for entry in found.entries] == []
    refused = {entry.path: entry for entry in found.broken}
    for bad in corpus:
        entry = refused[bad.folder]
        assert re.search(bad.reason, entry.reason), (bad.name, entry.reason)
        assert bad.module is None or entry.module == bad.module, (bad.name, entry.module)
        assert len(entry.reason) < 1000, bad.name  # it goes into logs and messages
    tally("broken adapters refused by the catalogue", len(corpus))


def test_a_live_engine_refuses_the_whole_corpus_while_sound_rows_decode__c8_g3_g5(
    corpus: tuple[BadAdapter, ...], start_yard: Callable[..., Any], tally: Tally
) -> None:
    yard = start_yard(host_bytes=16 << 20)
    sound = [_ask(f"sound {i}", digest) for i, digest in enumerate([None, *yard.adapters] * 2)]
    wanted = {name: outcome.text for name, outcome in yard.run(*sound).items()}
    bad = {case.name: case for case in corpus if not case.by_catalogue_only}
    digests = {name: _register(yard.adapters, case) for name, case in bad.items()}
    asked = [_ask(name, digest) for name, digest in digests.items()]
    third = len(asked) // 3
    outcomes = yard.run(*asked[:third], *sound, *asked[third:])
    for name, case in bad.items():
        outcome = outcomes[name]
        assert isinstance(outcome, Failed), (name, outcome)
        assert outcome.kind is FailureKind.PERMANENT, (name, outcome)
        assert outcome.code in {"adapter_refused", "adapter_too_large"}, (name, outcome)
        assert re.search(case.reason, outcome.message), (name, outcome.message)
    for request in sound:
        outcome = outcomes[request.request_id]
        assert isinstance(outcome, Succeeded)
        assert outcome.text == wanted[request.request_id]
    residency = yard.engine.residency()
    assert not {*residency.host, *residency.loading, *(s.digest for s in residency.slots)} & {
        *digests.values()
    }
    assert yard.engine.alive()
    tally("broken adapters refused by a live engine", len(bad))
    tally("sound rows beside broken adapters", len(sound))


def _ask(name: str, digest: str | None) -> GenerationRequest:
    return GenerationRequest(
        request_id=name,
        prompt=f"Once upon a time, {name}",
        adapter=digest,
        sampling=Sampling(max_new_tokens=40),
    )


def _register(adapters: dict[str, Path], case: BadAdapter) -> str:
    """Offer it under its true digest where it can be read at all: nothing else may be the reason."""
    try:
        digest = adapter_digest(read_adapter(case.folder))
    except AdapterError:
        digest = f"sha256:{case.name}"
    adapters[digest] = case.folder
    return digest
