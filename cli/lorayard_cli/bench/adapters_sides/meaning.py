"""What choosing by meaning costs a dispatcher: a job's message in, a verdict out, at so many adapters.

Topics and prompts are drawn from a few hundred words. A row of the head is its topic's mean instead of what
training makes of it, which takes minutes at 1,000 adapters: the same numbers to multiply, so the same time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
from safetensors.numpy import save

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import percentile, spread
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.semantic_book import Standing
from lorayard_shared.semantic.artifact import HEAD_NAME, RECORD_NAME, artifact_of
from lorayard_shared.semantic.background import BACKGROUND
from lorayard_shared.semantic.classifier import Classifier
from lorayard_shared.semantic.encoder import ENCODER_NAME, TOKENIZER_NAME, Encoder, EncoderFiles
from lorayard_shared.semantic.encoders import base_table_encoder
from lorayard_shared.semantic.examples import examples_digest
from lorayard_shared.semantic.record import ClassifierRecord, CrossValidation

ADAPTERS: Final = (10, 100, 1000)
WORDS: Final = tuple(sorted({word for prompt in BACKGROUND for word in prompt.split()}))
TOPIC_WORDS: Final = 6
EXAMPLES: Final = 3
STRENGTH: Final = 20.0
"""Scores of vectors of unit length, as far apart as trained ones."""
PROMPT_WORDS: Final = (10, 60, 400)
"""A question, a paragraph, and a document of which only the ends are read: as many of each."""
ROUNDS: Final = 5
NOTHING: Final = CrossValidation(
    examples=0, decided=0, correct=0, background=0, background_decided=0, calibration_error=0.0, reached=True
)


def meaning_figures(model_folder: Path, decisions: int, *, whole: bool) -> dict[str, Figure]:
    """Figures by the key of their goal; `whole`: the model is one whose tables are worth judging."""
    encoder = base_table_encoder(model_folder)
    return decision_figures(encoder, decisions, note=f"embedding table of {model_folder.name}", whole=whole)


def decision_figures(
    encoder: EncoderFiles, decisions: int, *, note: str, whole: bool, adapters: Sequence[int] = ADAPTERS
) -> dict[str, Figure]:
    """The same over any encoder."""
    found: dict[str, Figure] = {}
    for count in adapters:
        standing = Standing(Classifier(artifact_of(classifier_files(encoder, count))), revision=1)
        rounds = [_round(standing, count, decisions // ROUNDS, seed) for seed in range(ROUNDS)]
        told = f"processor time, {decisions:,} prompts of {_listed(PROMPT_WORDS)} words; {note}"
        for key, share in (("p50", 0.5), ("p99", 0.99)):
            value = spread([percentile(seconds, share) * 1000 for seconds in rounds])
            found[f"meaning_{key}_{count}"] = Figure(value=value, note=told, whole=whole)
    return found


def classifier_files(encoder: EncoderFiles, count: int) -> dict[str, bytes]:
    """A classifier of so many adapters."""
    reader, draw = Encoder(encoder.tokenizer, encoder.table), Random(count)
    rows = [
        np.mean([reader.encode(_prompt(topic, draw, PROMPT_WORDS[0])) for _ in range(EXAMPLES)], axis=0)
        for topic in range(count)
    ]
    none = np.mean([reader.encode(prompt) for prompt in BACKGROUND], axis=0)
    weights = np.ascontiguousarray(STRENGTH * np.stack([*rows, none]), np.float32)
    record = ClassifierRecord(
        labels=tuple(_label(topic) for topic in range(count)),
        examples_per_label=(EXAMPLES,) * count,
        none_examples=0,
        examples_digest=examples_digest(()),
        prompt_digests=(),
        encoder_kind=encoder.kind,
        encoder_digest=encoder.digest,
        dimensions=weights.shape[1],
        temperature=1.0,
        threshold=0.5,
        wanted_precision=0.95,
        cross_validation=NOTHING,
    )
    return {
        RECORD_NAME: record.model_dump_json().encode(),
        HEAD_NAME: save({"weights": weights, "biases": np.zeros(count + 1, np.float32)}),
        ENCODER_NAME: encoder.table,
        TOKENIZER_NAME: encoder.tokenizer,
    }


def _round(standing: Standing, count: int, decisions: int, seed: int) -> Sequence[float]:
    """Seconds of the process for each decision."""
    draw, allowed = Random(seed), frozenset(standing.labels)
    took: list[float] = []
    for number in range(decisions):
        text = _prompt(draw.randrange(count), draw, PROMPT_WORDS[number % len(PROMPT_WORDS)])
        body = encode(Job(id=f"job-{number}", prompt=text))
        asked = Asked(tenant="acme", job=f"job-{number}", body=body)
        started = time.process_time()
        standing.judge(asked, allowed)
        took.append(time.process_time() - started)
    return took


def _prompt(topic: int, draw: Random, words: int) -> str:
    """Half of it about the topic."""
    own = Random(topic).sample(WORDS, TOPIC_WORDS)
    return " ".join(draw.choice(own if draw.random() < 0.5 else WORDS) for _ in range(words))


def _label(topic: int) -> str:
    return f"acme/bench/topic-{topic:04}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
