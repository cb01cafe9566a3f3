"""A corpus of broken adapter folders for the tiny model: each must be refused before a tier is touched.

Every case starts as a sound adapter and breaks one rule, the way a bad download, a foreign tool or an
attacker would. Nothing in it runs unless somebody unpickles or follows what must not be followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lorayard_cli.bench.engine_sides.corpus_configs import CONFIGS, Claim
from lorayard_cli.bench.engine_sides.corpus_files import FILES, OUTSIDE
from lorayard_cli.bench.engine_sides.corpus_weights import WEIGHTS
from lorayard_workers.tiny_model import make_tiny_adapter

MAX_RANK = 16
"""Of the engine that the corpus is shown to: one case asks for more."""

MAX_BYTES = 8 << 20
"""For the catalogue's limit: the sound adapter has 0.9 MB."""

_NAME = Path("bad/tiny")  # {org}/{model}; then {task}/{version}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAdapter:
    """One broken folder. `reason` is a regular expression that the refusal must match."""

    name: str
    folder: Path
    reason: str
    module: str | None
    by_catalogue_only: bool
    """Whether only a root's scan can know: an engine follows the links of a folder it is given."""


def make_corpus(root: Path) -> tuple[BadAdapter, ...]:
    """Write all cases under `root`, laid out as a catalogue scans it; what leads outside lies beside it."""
    cases: Mapping[str, tuple[Callable[[Path], object], Claim]] = {**CONFIGS, **WEIGHTS, **FILES}
    return tuple(_make(root, name, seed, *case) for seed, (name, case) in enumerate(cases.items()))


def _make(root: Path, name: str, seed: int, spoil: Callable[[Path], object], claim: Claim) -> BadAdapter:
    """Each with weights of its own, and so with a digest of its own."""
    folder = make_tiny_adapter(root / _NAME / name / "1", seed=1000 + seed, rank=4)
    spoil(folder)
    return BadAdapter(
        name=name,
        folder=folder,
        reason=claim.reason,
        module=claim.module,
        by_catalogue_only=spoil in OUTSIDE,
    )
