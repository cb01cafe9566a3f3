"""`lorayard routes train`, `eval` and `classifier`: which adapter a prompt is for, by what it means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lorayard.errors import NoClassifierError
from lorayard.registry.classifiers import PRECISION
from lorayard.registry.classifying import check_labels, find_classifier, put_in_force, record_of
from lorayard.registry.known import read_directory
from lorayard.settings import client_settings
from lorayard_cli.confusion import evaluation_document, evaluation_lines, figures_line
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.learning import EncoderName, make_encoder
from lorayard_cli.options import NEAREST, TEXT, Output, YardAddress
from lorayard_cli.output import counted, note, print_json, print_text, short_digest
from lorayard_cli.registry_changes import UNSIGNED, Signature, print_history
from lorayard_cli.traffic import Traffic, check_does_as_well, check_no_worse, read_traffic
from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.registry.records import Author
from lorayard_shared.registry.semantic_store import SemanticStore

if TYPE_CHECKING:
    from lorayard_shared.semantic.artifact import Artifact
    from lorayard_shared.semantic.classifier import Classifier
    from lorayard_shared.semantic.encoder import EncoderFiles
    from lorayard_shared.semantic.examples import Example

DEMO = "demo"
"""Instead of a file: the demo's prompts, which come with the package."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """How it is made."""

    base: str | None = None
    """Whose embedding table reads the prompts: a known name or a model's folder. Without it that of the yard
    which runs here, else gemma3-270m."""
    encoder: EncoderName = "base"
    """sentence: a sentence-embedding model instead, with the extra `sentences`."""
    precision: float = PRECISION
    """Of its decisions so many shall be right; where it cannot be that sure it abstains."""
    check: bool = True
    """Refuse examples for what does not serve."""
    dry_run: Annotated[bool, Parameter(negative="")] = False
    """Put nothing into force."""
    traffic: Annotated[bool, Parameter(negative="")] = False
    """Learn from jobs that named their adapter too (LORAYARD_SEMANTIC_SAMPLES); nothing is changed if it does
    worse by that on the examples."""
    held_out: Path | None = None
    """Prompts to compare it by with the one in force, which stays unless the new one does as well."""
    out: Path | None = None
    """Write it to this folder too, for `routes eval --artifact`."""

    @property
    def needs_yard(self) -> bool:
        """Whether anything of it is asked of a running one."""
        return self.check or self.traffic or self.held_out is not None or not self.dry_run


USUAL = Learning()


async def train(
    examples: Path,
    *,
    learning: Learning = USUAL,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Make a classifier from example prompts on this machine, and put it into force.

    The figures are cross-validated: each example is judged by a classifier that was made without it.

    Parameters
    ----------
    examples
        JSON Lines with `adapter` (a name, a version, an alias, `base`, or `none`) and `prompt`; the word
        `demo` for those of the demo's adapters.
    """
    from lorayard_shared.semantic.artifact import write_artifact
    from lorayard_shared.semantic.examples import NONE, read_examples

    if learning.out is not None and learning.out.exists() and not learning.out.is_dir():
        message = f"{learning.out} is a file: --out takes a folder"
        raise CommandError(ExitCode.USAGE, "usage", message, field="out")
    given = read_examples(_file(examples, "routing_examples.jsonl"))
    judged_by = read_examples(learning.held_out) if learning.held_out is not None else ()
    labels = sorted({one.adapter for one in given} - {NONE})
    async with _bus_if(learning.needs_yard, yard) as connected:
        if learning.check and connected is not None:
            check_labels(labels, await read_directory(connected), str(examples))
        encoder = await asyncio.to_thread(make_encoder, learning.encoder, learning.base)
        seen = Traffic()
        if learning.traffic and connected is not None:
            seen = await read_traffic(connected, encoder.digest, labels)
        artifact = await _made(given, encoder, learning, seen)
        rival = await find_classifier(connected) if judged_by and connected is not None else None
        if rival is not None:
            await asyncio.to_thread(check_does_as_well, artifact, rival[1], judged_by)
        if learning.out is not None:
            await asyncio.to_thread(write_artifact, artifact, learning.out)
        record, reached = record_of(artifact, observed=len(seen.observed)), artifact.record.cross_validation
        if not output.json:
            print_text(figures_line(record))
        if not reached.reached:
            note(f"no threshold gave {learning.precision:g}: give more examples, or a lower --precision")
        if not learning.dry_run and connected is not None:
            author, checked_as = _author(yard, signature), str(examples) if learning.check else None
            record = await put_in_force(connected, artifact, record, author, checked_as=checked_as)
    _show(record, output, in_force=not learning.dry_run)


async def _made(
    given: Sequence[Example], encoder: EncoderFiles, learning: Learning, seen: Traffic
) -> Artifact:
    """A classifier of the examples; with what traffic has shown, where that makes it no worse."""
    from lorayard_shared.semantic.training import train as make

    artifact = await asyncio.to_thread(make, given, encoder, precision=learning.precision)
    if not learning.traffic:
        return artifact
    note(seen.told)
    taught = await asyncio.to_thread(
        make, given, encoder, precision=learning.precision, observed=seen.observed
    )
    check_no_worse(taught.record.cross_validation, artifact.record.cross_validation)
    return taught


async def eval_(
    held_out: Path,
    *,
    artifact: Path | None = None,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Judge prompts that the classifier was not made from, and show where it is wrong.

    Parameters
    ----------
    held_out
        JSON Lines as for `routes train`, or the word `demo`; those that were learnt are left out.
    artifact
        A folder of `routes train --out`, instead of what is in force.
    """
    from lorayard_shared.semantic.classifier import Classifier
    from lorayard_shared.semantic.evaluation import evaluate
    from lorayard_shared.semantic.examples import read_examples

    given = read_examples(_file(held_out, "routing_held_out.jsonl"))
    classifier: Classifier
    if artifact is not None:
        classifier, revision = Classifier.load(artifact), None
    else:
        async with await _bus(yard) as connected:
            standing = await find_classifier(connected)
        if standing is None:
            raise NoClassifierError
        record, classifier = standing
        revision = record.revision
    found = await asyncio.to_thread(evaluate, classifier, given)
    if output.json:
        print_json(evaluation_document(found, classifier.digest, revision))
        return
    for line in evaluation_lines(found, classifier.record.threshold):
        print_text(line)


async def ls(*, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Show which classifiers were in force, who changed that, and why; the newest last."""
    async with await _bus(yard) as connected:
        past = await SemanticStore(connected).past()
    if output.json:
        print_json({"revisions": [_document(one) for one in past]})
        return
    if not past:
        note("there has been no classifier; `lorayard routes train EXAMPLES.jsonl` makes one")
        return
    rows = ((one, (len(one.labels) if one.is_on else "off", short_digest(one.artifact))) for one in past)
    print_history(rows, "adapters", "digest")


async def rollback(
    *,
    to: int | None = None,
    signature: Signature = UNSIGNED,
    yard: YardAddress = NEAREST,
    output: Output = TEXT,
) -> None:
    """Return to an earlier classifier.

    Parameters
    ----------
    to
        The revision; without it the one before.
    """
    async with await _bus(yard) as connected:
        made = await SemanticStore(connected).roll_back(to, _author(yard, signature))
    _show(made, output, in_force=True)


async def off(*, signature: Signature = UNSIGNED, yard: YardAddress = NEAREST, output: Output = TEXT) -> None:
    """Choose nothing by meaning any more; `rollback` returns to what was in force."""
    async with await _bus(yard) as connected:
        made = await SemanticStore(connected).turn_off(_author(yard, signature))
    _show(made, output, in_force=True)


def _file(given: Path, of_demo: str) -> Path:
    if str(given) == DEMO and not given.exists():
        return Path(__file__).parent.parent / "demo" / of_demo
    return given


@asynccontextmanager
async def _bus_if(needed: bool, yard: YardAddress) -> AsyncGenerator[Bus | None]:
    if not needed:
        yield None
        return
    async with await _bus(yard) as connected:
        yield connected


async def _bus(yard: YardAddress) -> Bus:
    return await connect(yard.settings(), name="cli")


def _author(yard: YardAddress, signature: Signature) -> Author:
    actor = client_settings(yard.settings(), actor=signature.by).actor
    return Author(actor=actor, reason=signature.why)


def _show(made: SemanticRecord, output: Output, *, in_force: bool) -> None:
    if output.json:
        print_json({**_document(made), "in_force": in_force})
    elif not in_force:
        print_text("nothing was put into force (--dry-run)")
    elif made.is_on:
        print_text(
            f"a classifier of {counted(len(made.labels), 'adapter')} is in force (revision {made.revision})"
        )
    else:
        print_text(f"no classifier is in force any more (revision {made.revision})")


def _document(one: SemanticRecord) -> dict[str, object]:
    return {**one.model_dump(mode="json"), "accuracy": one.figures.accuracy}
