"""`client.rules.classifier`: what chooses an adapter by what a prompt means, where nothing before decides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lorayard.answering import Answering
from lorayard.errors import NoClassifierError
from lorayard.registry.classifying import check_labels, find_classifier, put_in_force, record_of
from lorayard.registry.extras import needing
from lorayard.registry.known import read_directory
from lorayard_schemas.semantic import SemanticRecord
from lorayard_shared.registry.semantic_store import SemanticStore

if TYPE_CHECKING:
    from lorayard.link import Link
    from lorayard_shared.semantic.artifact import Artifact
    from lorayard_shared.semantic.classifier import Classifier
    from lorayard_shared.semantic.encoder import EncoderFiles
    from lorayard_shared.semantic.evaluation import Evaluation
    from lorayard_shared.semantic.examples import Example

PRECISION = 0.95
"""Of its decisions so many shall be right; it abstains where it cannot be that sure."""

Examples = Path | Iterable[tuple[str, str]]
"""A file of JSON Lines, or pairs of an adapter (a name, a version, an alias, `base`, `none`) and a prompt."""


class Classifiers:
    """The classifier of one yard: one in force at most; the last 16 are kept.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def get(self) -> SemanticRecord:
        """What is in force: without files (`is_on`) nothing."""
        past = await self.history()
        return past[-1] if past else SemanticRecord()

    async def history(self) -> tuple[SemanticRecord, ...]:
        """What was in force and is, the newest last."""
        link = self._open_link()
        async with Answering(link):
            return await SemanticStore(link.bus).past()

    async def rollback(self, *, to: int | None = None, reason: str = "") -> SemanticRecord:
        """Return to a revision; None: the one before this, past returns.

        Raises:
            RuleRevisionError: there is none.
            ContendedError: others changed it every time that this was tried.
        """
        link = self._open_link()
        async with Answering(link):
            return await SemanticStore(link.bus).roll_back(to, link.author(reason))

    async def off(self, *, reason: str = "") -> SemanticRecord:
        """Choose nothing by meaning any more; `rollback` returns to what was in force.

        Raises:
            ContendedError: others changed it every time that this was tried.
        """
        link = self._open_link()
        async with Answering(link):
            return await SemanticStore(link.bus).turn_off(link.author(reason))

    async def put(self, folder: Path | str, *, check: bool = True, reason: str = "") -> SemanticRecord:
        """Put a classifier into force that `lorayard routes train --out FOLDER` has made, here or elsewhere.

        The very classifier that is in force stays as it is, with its revision. `check` refuses one that
        chooses what does not serve.

        Raises:
            ArtifactError: a file of it is missing, or is not as it was written.
            LabelUnknownError: it chooses what is not there; nothing was changed.
            ExtraMissingError: it is read by what `lorayard[semantic]` brings.
            StoreFullError, FileMissingError: the store takes no more, or gives back other bytes.
            ContendedError: others changed it every time that this was tried.
        """
        with needing("semantic", "reading a classifier"):
            from lorayard_shared.semantic.artifact import read_artifact
        artifact = await asyncio.to_thread(read_artifact, Path(folder))
        return await self._put(artifact, str(folder) if check else None, reason)

    async def train(
        self,
        examples: Examples,
        *,
        model: Path | str | None = None,
        precision: float = PRECISION,
        check: bool = True,
        reason: str = "",
    ) -> SemanticRecord:
        """Make a classifier of example prompts in this process, and put it into force.

        `model` is the base model's folder, whose embedding table is to read the prompts; None: what reads
        them for the classifier in force, which is fetched. It takes a second or more of one core, in a
        thread.
        `figures` of what is returned are cross-validated. To learn from traffic too, or to compare before
        anything is changed, use `lorayard routes train`.

        Raises:
            ExamplesError: an example cannot be used, with its line.
            TrainingError: they teach no classifier.
            EncoderError: the model's folder gives none.
            NoClassifierError: no model was given, and none is in force.
            ExtraMissingError: it is made by what `lorayard[routing]` brings.
            ClassifierUnusableError, and what `put` raises.
        """
        with needing("routing", "training a classifier"):
            from lorayard_shared.semantic.training import train
        given = await asyncio.to_thread(_read, examples)
        source = str(examples) if isinstance(examples, Path) else "examples"
        link = self._open_link()
        async with Answering(link):
            if check:  # before what takes seconds
                check_labels(_labels(given), await read_directory(link.bus), source)
            encoder = await self._encoder(link, model)
        artifact = await asyncio.to_thread(train, given, encoder, precision=precision)
        return await self._put(artifact, source if check else None, reason)

    async def evaluate(self, held_out: Examples, *, folder: Path | str | None = None) -> Evaluation:
        """Judge prompts that the classifier was not made from; those that it learnt are left out.

        `folder` is one of `lorayard routes train --out`; None: what is in force, which is fetched.

        Raises:
            ExamplesError: an example cannot be used, with its line.
            NoClassifierError: none is in force.
            ArtifactError, ClassifierUnusableError, FileMissingError: it cannot be used here, and why.
            ExtraMissingError: it is read by what `lorayard[semantic]` brings.
        """
        with needing("semantic", "judging a classifier"):
            from lorayard_shared.semantic.evaluation import evaluate
        given = await asyncio.to_thread(_read, held_out)
        return await asyncio.to_thread(evaluate, await self._classifier(folder), given)

    async def _put(self, artifact: Artifact, checked_as: str | None, reason: str) -> SemanticRecord:
        link = self._open_link()
        async with Answering(link):
            if checked_as is not None:
                check_labels(artifact.record.labels, await read_directory(link.bus), checked_as)
            author = link.author(reason)
            return await put_in_force(link.bus, artifact, record_of(artifact), author, checked_as=checked_as)

    async def _classifier(self, folder: Path | str | None) -> Classifier:
        if folder is not None:
            from lorayard_shared.semantic.classifier import Classifier

            return await asyncio.to_thread(Classifier.load, Path(folder))
        link = self._open_link()
        async with Answering(link):
            found = await find_classifier(link.bus)
        if found is None:
            raise NoClassifierError
        return found[1]

    async def _encoder(self, link: Link, model: Path | str | None) -> EncoderFiles:
        if model is not None:
            from lorayard_shared.semantic.encoders import base_table_encoder

            return await asyncio.to_thread(base_table_encoder, Path(model))
        found = await find_classifier(link.bus)
        if found is None:
            raise NoClassifierError
        return found[1].encoder_files


def _read(examples: Examples) -> tuple[Example, ...]:
    from lorayard_shared.semantic.examples import parse_examples, read_examples

    if isinstance(examples, Path):
        return read_examples(examples)
    rows = (json.dumps({"adapter": adapter, "prompt": prompt}) for adapter, prompt in examples)
    return parse_examples("\n".join(rows), "examples")


def _labels(examples: Iterable[Example]) -> list[str]:
    from lorayard_shared.semantic.examples import NONE

    return sorted({one.adapter for one in examples} - {NONE})
