"""From a job's sampling settings to the engine's."""

from __future__ import annotations

from dataclasses import fields

from lorayard_schemas.job import Sampling as JobSampling
from lorayard_workers.engine.protocol import Sampling

_SAME = tuple(field.name for field in fields(Sampling) if field.name != "logit_bias")
"""The two name their settings alike; a bias has keys of text in JSON."""


def engine_sampling(given: JobSampling) -> Sampling:
    """The same settings for the engine, which judges what depends on its model."""
    bias = tuple((int(token), bias) for token, bias in given.logit_bias.items())
    return Sampling(logit_bias=bias, **{name: getattr(given, name) for name in _SAME})
