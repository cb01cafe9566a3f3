"""From a job's sampling settings to the engine's."""

from __future__ import annotations

from typing import Any

from lorayard_schemas.job import Sampling as JobSampling
from lorayard_workers.engine.request import Sampling

_USUAL = Sampling()


def engine_sampling(given: JobSampling) -> Sampling:
    """The same settings for the engine, which judges what depends on its model.

    The two name their settings alike and have the same defaults; a bias has keys of text in JSON.
    """
    said: dict[str, Any] = {name: getattr(given, name) for name in given.model_fields_set}
    if not said:
        return _USUAL
    if "logit_bias" in said:
        said["logit_bias"] = tuple((int(token), bias) for token, bias in given.logit_bias.items())
    return Sampling(**said)
