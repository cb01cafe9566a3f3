"""Which sampling settings an engine takes."""

from __future__ import annotations

from collections.abc import Iterator

from lorayard_workers.engine.logprobs import MAX_ALTERNATIVES, MAX_LOGPROBS
from lorayard_workers.engine.request import Sampling
from lorayard_workers.errors import RequestRefusedError

MAX_STOP_STRINGS = 16
"""Each is searched for after every token; OpenAI allows 4."""

MAX_STOP_CHARACTERS = 1024
"""Streamed text is held back while it could be the beginning of one, and looked at after every token."""

MAX_TEMPERATURE = 1e4
"""Every token is as likely as any other long before; from 1e38 on, fp32 has no such number."""

MAX_STOP_TOKEN_IDS = 64
"""A model has a handful of tokens that end something."""

MAX_LOGIT_BIAS = 1024
"""Entries. Who needs more wants a grammar."""

LOGIT_BIAS = (-100.0, 100.0)
"""OpenAI's range: at the ends a token is as good as forbidden, or as good as certain."""

PENALTY = (-2.0, 2.0)
"""OpenAI's range, of presence and frequency."""

REPETITION_PENALTY = (0.01, 100.0)
"""Useful are 0.8 to 2; within these no logit overflows."""

_Rule = tuple[str, bool, str]


def check_sampling(sampling: Sampling, *, vocabulary: int) -> None:
    """Every setting is usable. Raises RequestRefusedError naming the one that is not."""
    for name, fine, wanted in _rules(sampling, vocabulary):
        if not fine:
            raise RequestRefusedError(
                "bad_sampling",
                f"sampling.{name} is {getattr(sampling, name)!r:.80}: it must be {wanted}",
                field=f"sampling.{name}",
            )


def _rules(sampling: Sampling, vocabulary: int) -> Iterator[_Rule]:
    yield "max_new_tokens", sampling.max_new_tokens >= 1, "at least 1"
    temperature = sampling.temperature
    yield "temperature", 0 <= temperature <= MAX_TEMPERATURE, f"from 0 to {MAX_TEMPERATURE:g}"
    yield "top_p", 0 < sampling.top_p <= 1, "over 0 and at most 1"
    yield "top_k", sampling.top_k >= 0, "0 (all) or more"
    yield "min_p", 0 <= sampling.min_p <= 1, "from 0 (all) to 1"
    yield _range(sampling, "repetition_penalty", REPETITION_PENALTY)
    yield _range(sampling, "presence_penalty", PENALTY)
    yield _range(sampling, "frequency_penalty", PENALTY)
    yield from _bias_rules(sampling, vocabulary)
    yield "stop", all(sampling.stop), "without empty strings"
    yield "stop", len(sampling.stop) <= MAX_STOP_STRINGS, f"at most {MAX_STOP_STRINGS} strings"
    longest = max(map(len, sampling.stop), default=0)
    yield "stop", longest <= MAX_STOP_CHARACTERS, f"of at most {MAX_STOP_CHARACTERS} characters each"
    ids = sampling.stop_token_ids
    yield "stop_token_ids", len(ids) <= MAX_STOP_TOKEN_IDS, f"at most {MAX_STOP_TOKEN_IDS} ids"
    yield "stop_token_ids", _are_tokens(ids, vocabulary), f"ids from 0 to {vocabulary - 1}"
    least = sampling.min_new_tokens
    yield "min_new_tokens", 0 <= least <= sampling.max_new_tokens, "from 0 to max_new_tokens"
    yield from _logprob_rules(sampling)


def _bias_rules(sampling: Sampling, vocabulary: int) -> Iterator[_Rule]:
    low, high = LOGIT_BIAS
    ids = tuple(token for token, _ in sampling.logit_bias)
    yield "logit_bias", len(ids) <= MAX_LOGIT_BIAS, f"for at most {MAX_LOGIT_BIAS} tokens"
    yield "logit_bias", _are_tokens(ids, vocabulary), f"for token ids from 0 to {vocabulary - 1}"
    inside = all(low <= bias <= high for _, bias in sampling.logit_bias)
    yield "logit_bias", inside, f"from {low:g} to {high:g} for each token"


def _logprob_rules(sampling: Sampling) -> Iterator[_Rule]:
    wanted = sampling.logprobs
    if wanted is None:
        return
    yield "logprobs", 0 <= wanted <= MAX_ALTERNATIVES, f"from 0 to {MAX_ALTERNATIVES}"
    fits = sampling.max_new_tokens * (1 + wanted) <= MAX_LOGPROBS
    yield "logprobs", fits, f"few enough that max_new_tokens x (1 + logprobs) is at most {MAX_LOGPROBS}"


def _range(sampling: Sampling, name: str, bounds: tuple[float, float]) -> _Rule:
    low, high = bounds
    return name, low <= getattr(sampling, name) <= high, f"from {low:g} to {high:g}"


def _are_tokens(ids: tuple[int, ...], vocabulary: int) -> bool:
    return all(0 <= token < vocabulary for token in ids)
