"""The corpus of broken adapters, shown to a catalogue and to a live engine that serves sound rows too."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

from structlog.testing import capture_logs

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_sides.corpus import MAX_BYTES, MAX_RANK, BadAdapter, make_corpus
from lorayard_cli.bench.figures import spread
from lorayard_shared.adapters.digest import adapter_digest
from lorayard_shared.adapters.errors import AdapterError
from lorayard_shared.adapters.files import read_adapter
from lorayard_workers.adapters.catalog import CatalogScanner
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.outcome import Failed, Outcome, Succeeded
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.engine.request import GenerationRequest, Sampling
from lorayard_workers.tiny_model import TINY_SHAPES, make_tiny_adapter, make_tiny_model

_OUTCOME_SECONDS = 60.0
"""Only a hang waits this long."""
_SOUND = "sound"
_REFUSALS = frozenset({"adapter_refused", "adapter_too_large"})


def measure_refusals() -> Figure:
    """The share of cases that both refuse with the reason that fits, with nothing of them in any tier."""
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as scratch:
        root = Path(scratch) / "root"
        corpus = make_corpus(root)
        accepted = _accepted_by_catalogue(root, corpus) | _accepted_by_engine(Path(scratch), corpus)
    refused = len(corpus) - len(accepted)
    return Figure(
        value=spread([refused / len(corpus)]),
        note=f"{refused} of {len(corpus)} cases refused by the catalogue, and by an engine that was given "
        "their folders; sound rows beside them answered as before",
        facts={"cases": len(corpus), "not_refused": sorted(accepted)},
    )


def _accepted_by_catalogue(root: Path, corpus: Sequence[BadAdapter]) -> set[str]:
    scanned = CatalogScanner(root=root, shapes=TINY_SHAPES, max_rank=MAX_RANK, max_bytes=MAX_BYTES).scan()
    reasons = {entry.path: entry.reason for entry in scanned.broken}
    return {case.name for case in corpus if not re.search(case.reason, reasons.get(case.folder, ""))}


def _accepted_by_engine(scratch: Path, corpus: Sequence[BadAdapter]) -> set[str]:
    """What a live engine did not refuse; all of it when a sound row came to harm."""
    cases = {_digest(case): case for case in corpus if not case.by_catalogue_only}
    sound = make_tiny_adapter(scratch / _SOUND, seed=99)
    sound_digest = adapter_digest(read_adapter(sound))
    engine = PackedEngine(
        make_tiny_model(scratch / "model"),
        {sound_digest: sound, **{digest: case.folder for digest, case in cases.items()}},
        EngineConfig(
            slots=4,
            max_rank=MAX_RANK,
            rows=4,
            context_tokens=128,
            host_bytes=16 << 20,  # nothing sound needs so much, and one case more
            precision=Precision.FP32,
            device="cpu",
            json_schemas=False,
        ),
    )
    engine.start()
    try:
        before = _answer(engine, {_SOUND: sound_digest})[_SOUND]
        with capture_logs():  # every refusal is a warning
            outcomes = _answer(engine, {_SOUND: sound_digest, **{digest: digest for digest in cases}})
        residency = engine.residency()
        held = {*residency.host, *residency.loading, *(slot.digest for slot in residency.slots)}
        unharmed = _same(before, outcomes[_SOUND]) and engine.alive()
    finally:
        engine.stop()
    engine.check()
    if not unharmed:
        return {case.name for case in cases.values()}
    return {
        case.name for digest, case in cases.items() if digest in held or not _fits(outcomes[digest], case)
    }


def _digest(case: BadAdapter) -> str:
    """Its true one where it can be read at all: nothing else may be the reason for its refusal."""
    try:
        return adapter_digest(read_adapter(case.folder))
    except AdapterError:
        return f"sha256:{case.name}"


def _answer(engine: PackedEngine, digests: Mapping[str, str]) -> dict[str, Outcome]:
    ended: SimpleQueue[Outcome] = SimpleQueue()
    for name, digest in digests.items():
        sampling = Sampling(max_new_tokens=40)
        engine.submit(
            GenerationRequest(request_id=name, prompt="Once upon a time", adapter=digest, sampling=sampling),
            ended.put,
        )
    outcomes = [ended.get(timeout=_OUTCOME_SECONDS) for _ in digests]
    return {outcome.request_id: outcome for outcome in outcomes}


def _same(before: Outcome, after: Outcome) -> bool:
    return isinstance(before, Succeeded) and isinstance(after, Succeeded) and before.text == after.text


def _fits(outcome: Outcome, case: BadAdapter) -> bool:
    return (
        isinstance(outcome, Failed)
        and outcome.code in _REFUSALS
        and re.search(case.reason, outcome.message) is not None
    )
