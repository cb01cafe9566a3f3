"""Whether a question about a stream asks for nothing but what is a tenant's own.

The server takes the subjects of such a question from its body, where no permission reaches. So a tenant in an
account of its own has it looked at here, field by field: what is not known to be harmless is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

JsonMap = dict[str, Any]

MOST_SUBJECTS: Final = 1024
"""As the server has it."""

PAGE_MESSAGES: Final = 256
PAGE_BYTES: Final = 8 * 2**20
"""Of one answer at most, whatever is asked for: it lies in memory here for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOwnError(Exception):
    """It asks for more than what is the tenant's, or for what is not known."""

    reason: str


def own_patterns(prefix: str, stream: str, token: str) -> tuple[str, ...]:
    """Subjects of one stream that are the tenant's, by its subject token; `*` is any one token."""
    named = {
        "results": ("results.{}.*",),
        "tokens": ("tokens.{}.*",),
        "delayed": ("delayed.{}.*", "due.*.{}.*"),
        "audit": ("audit.*.{}.*", "audit.act.{}"),
        "dead": ("dead.{}.*", "dead.{}.*.*"),
        "jobs": ("jobs.*.{}.*", "jobs.*.{}.*.*"),
    }
    return tuple(f"{prefix}.{one.format(token)}" for one in named.get(stream, ()))


def read_question(body: bytes, patterns: tuple[str, ...]) -> JsonMap:
    """A direct get's body, bounded.

    Raises:
        NotOwnError: it is none, or asks for what is another's.
    """
    try:
        asked: object = json.loads(body)
    except ValueError as error:
        raise NotOwnError(reason="the body is no JSON") from error
    if not isinstance(asked, dict):
        raise NotOwnError(reason="the body is no JSON object")
    question = cast("JsonMap", asked)
    subjects = _subjects(question)
    for subject in subjects:
        if not any(within(subject, pattern) for pattern in patterns):
            raise NotOwnError(reason=f"{subject!r:.200} is not this tenant's")
    return _bounded(question)


def _subjects(question: Mapping[str, object]) -> list[str]:
    named = [key for key in ("last_by_subj", "next_by_subj", "multi_last") if key in question]
    if len(named) != 1:
        raise NotOwnError(reason="one of last_by_subj, next_by_subj and multi_last is needed")
    value = question[named[0]]
    found: list[object] = [*value] if isinstance(value, list) else [value]
    if not 1 <= len(found) <= MOST_SUBJECTS:
        raise NotOwnError(reason=f"1 to {MOST_SUBJECTS} subjects are needed")
    if not all(isinstance(one, str) for one in found):
        raise NotOwnError(reason="a subject is a string")
    return [str(one) for one in found]


def _bounded(question: JsonMap) -> JsonMap:
    known = {
        "last_by_subj",
        "next_by_subj",
        "multi_last",
        "seq",
        "start_time",
        "up_to_seq",
        "batch",
        "max_bytes",
    }
    if unknown := question.keys() - known:
        raise NotOwnError(reason=f"{min(unknown)!r:.64} is not served here")
    for key, most in (("batch", PAGE_MESSAGES), ("max_bytes", PAGE_BYTES)):
        value = question.get(key)
        if isinstance(value, int) and value > most:
            question = {**question, key: most}
    if "multi_last" in question or question.get("batch"):
        return {"max_bytes": PAGE_BYTES, **question}
    return question


def within(subject: str, pattern: str) -> bool:
    """Whether all that a subject with wildcards means lies in a pattern with `*`."""
    asked, allowed = subject.split("."), pattern.split(".")
    return len(asked) == len(allowed) and all(
        token and (there == "*" or token == there) and token != ">"
        for token, there in zip(asked, allowed, strict=True)
    )
