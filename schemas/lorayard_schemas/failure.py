"""Every code that a failure can have, and its class: one table, which docs/job-lifecycle.md prints.

The class decides what happens next; the code is stable, for programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class FailureClass(StrEnum):
    """What follows from a failure."""

    PERMANENT = "permanent"
    """No attempt can succeed: answered at once."""
    RETRYABLE = "retryable"
    """Another attempt may succeed: tried again, as often as the retry policy says."""
    NOT_NOW = "not_now"
    """Nothing was wrong but the moment: put off, and no attempt is counted."""
    POISON = "poison"
    """It ends whoever runs it: given up."""
    EXPIRED = "expired"
    """Its deadline has passed."""


_P, _R, _N = FailureClass.PERMANENT, FailureClass.RETRYABLE, FailureClass.NOT_NOW

FAILURES: Final[Mapping[str, tuple[FailureClass, str]]] = {
    "malformed_job": (_P, "the message is no job; `field` names the part"),
    "unknown_adapter": (_P, "nobody has registered the adapter"),
    "adapter_refused": (_P, "the adapter's files cannot be served"),
    "adapter_too_large": (_P, "the adapter does not fit the worker's slots"),
    "bad_composition": (_P, "the adapters cannot be put together so"),
    "composition_unsupported": (_P, "who got the job composes no adapters"),
    "empty_prompt": (_P, "the prompt has no token"),
    "bad_prompt": (_P, "the prompt is no valid text"),
    "bad_prompt_token": (_P, "the prompt has a token that the model lacks"),
    "bad_messages": (_P, "the model's chat template refuses the turns"),
    "prompt_too_long": (_P, "prompt and answer exceed the context"),
    "bad_deadline": (_P, "the deadline is no time"),
    "bad_sampling": (_P, "a sampling value cannot be used"),
    "bad_json_schema": (_P, "the JSON schema cannot be followed"),
    "json_schema_unsupported": (_P, "the worker follows no JSON schemas"),
    "grammar_failed": (_P, "the JSON schema led nowhere"),
    "non_finite_logits": (_P, "the adapter makes the model answer no numbers"),
    "payload_missing": (_P, "the prompt kept by reference is gone, or another one"),
    "engine_error": (_R, "the engine failed at this job"),
    "adapter_not_fetched": (_R, "the store lacks files of the adapter"),
    "adapter_unavailable": (_R, "registered, but no live worker serves it; answered at once"),
    "composition_unavailable": (_R, "no live worker can put it together; answered at once"),
    "base_unavailable": (_R, "every live worker serves one adapter alone; answered at once"),
    "no_room": (_N, "the worker's disk has no room for the adapter's files now"),
    "store_unreachable": (_N, "the adapter's files cannot be fetched now: bus or disk"),
    "worker_dedicated": (_N, "the worker has begun to serve one adapter alone: handed back"),
    "withdrawn": (_N, "asked back before its row started: handed back"),
    "worker_died": (_N, "a worker died while it held the job: given out again, counted for poison"),
    "limit_reached": (
        _R,
        "a limit is used up; `error.limit` names it; permanent where the job alone is too much",
    ),
    "shed": (_R, "it would have waited in vain; answered at once, with `retry_after_seconds`"),
    "overlapped": (_P, "an earlier occurrence of its schedule has no result yet"),
    "run_limit": (_P, "it ran as long as it may"),
    "terminated": (
        FailureClass.RETRYABLE,
        "somebody took its message out of the stream, by `+TERM`",
    ),
    "delivered_too_often": (FailureClass.POISON, "its workers died under it, or the fuse blew"),
    "deadline_passed": (FailureClass.EXPIRED, "the job ends as `expired`, without an error"),
}


def is_not_now(code: str) -> bool:
    """Whether a failure of this code costs no attempt."""
    known = FAILURES.get(code)
    return known is not None and known[0] is FailureClass.NOT_NOW


def failure_table() -> str:
    """The table as the documents show it."""
    rows = [f"| `{code}` | {kind} | {what} |" for code, (kind, what) in FAILURES.items()]
    return "\n".join(["| code | class | meaning |", "|---|---|---|", *rows]) + "\n"
