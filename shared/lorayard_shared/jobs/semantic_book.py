"""The classifier that is in force, and what it has said of the jobs that wait.

A job is judged once: it is chosen for anew with every change of rules and aliases, and what its prompt means
does not change by that.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lorayard_schemas.semantic import SemanticVerdict
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.prompt_excerpt import prompt_excerpt
from lorayard_shared.logs import Event, process_logger

REMEMBERED_JOBS = 32_768
"""Verdicts: twice as many as wait in four lanes at the default window; about 20 MB."""

COSTS = 1024
"""Decisions of which the time is remembered, the newest: enough for a 99th percentile."""

GONE = "what the prompt is for does not serve any more"
NO_TEXT = "the prompt is not in the message, and its sender gave no excerpt of it"


class Judged(Protocol):
    """A classifier's answer."""

    @property
    def adapter(self) -> str | None:
        """None: it abstained."""
        ...

    @property
    def confidence(self) -> float:
        """Of the first."""
        ...

    @property
    def threshold(self) -> float:
        """What would have been enough."""
        ...

    @property
    def runner_up(self) -> str | None:
        """The second."""
        ...

    @property
    def reason(self) -> str:
        """Why it abstained."""
        ...

    @property
    def nearest(self) -> str | None:
        """What came first, also where it abstained: `reason` may name it."""
        ...


class TextClassifier(Protocol):
    """Says which adapter a text is for."""

    @property
    def adapters(self) -> Sequence[str]:
        """The names that it knows."""
        ...

    def choose(self, text: str, allowed: Callable[[str], bool] | None = None) -> Judged:
        """One of those that `allowed` is true of, or none."""
        ...

    def embed(self, text: str) -> Any:
        """An array of float32, of unit length or all zeros."""
        ...


class Standing:
    """A classifier with its verdicts, so that another one's are not taken for its own."""

    def __init__(self, classifier: TextClassifier, *, revision: int) -> None:
        self.classifier = classifier
        self.revision = revision
        self.labels = tuple(classifier.adapters)
        self.decided = self.abstained = 0
        self._verdicts: OrderedDict[tuple[str, str], tuple[str | None, SemanticVerdict]] = OrderedDict()
        """By tenant and job, each with what was nearest."""

    def under(self, revision: int) -> Standing:
        """The same as another revision has it, with its verdicts."""
        other = Standing(self.classifier, revision=revision)
        other._verdicts = self._verdicts
        return other

    def embedding(self, text: str) -> bytes:
        """What a text means, as float16, little endian; empty where nothing of it is known."""
        vector = self.classifier.embed(text)
        return bytes(vector.astype("<f2").tobytes()) if vector.any() else b""

    def known(self, asked: Asked, allowed: frozenset[str]) -> SemanticVerdict | None:
        """What was said of the job before; what may be chosen no more it abstains from, and does not name.

        No prompt is read again for that: thousands may wait, and what comes second was not meant.
        """
        found = self._verdicts.get((asked.tenant, asked.job))
        if found is None:
            return None
        nearest, verdict = found
        if verdict.adapter is not None and verdict.adapter not in allowed:
            return SemanticVerdict(threshold=verdict.threshold, reason=GONE, revision=self.revision)
        changed: dict[str, object] = {}
        if verdict.revision != self.revision:
            changed["revision"] = self.revision
        if verdict.runner_up is not None and verdict.runner_up not in allowed:
            changed["runner_up"] = None
        if nearest is not None and nearest not in allowed:
            changed["reason"] = ""
        return verdict.model_copy(update=changed) if changed else verdict

    def judge(self, asked: Asked, allowed: frozenset[str]) -> SemanticVerdict:
        """Read the prompt and say what it is for; without one nothing is remembered of the job."""
        if asked.body is None:
            return self._as_before(asked.meant, allowed)
        nearest, verdict = self._judged(asked.body, allowed)
        self.decided += verdict.adapter is not None
        self.abstained += verdict.adapter is None
        self._verdicts[(asked.tenant, asked.job)] = (nearest, verdict)
        while len(self._verdicts) > REMEMBERED_JOBS:
            self._verdicts.popitem(last=False)
        return verdict

    def _as_before(self, meant: SemanticVerdict | None, allowed: frozenset[str]) -> SemanticVerdict:
        if meant is not None and (meant.adapter is None or meant.adapter in allowed):
            return meant
        return SemanticVerdict(reason="no prompt was given", revision=self.revision)

    def _judged(self, body: bytes, allowed: frozenset[str]) -> tuple[str | None, SemanticVerdict]:
        text = prompt_excerpt(body)
        if not text:
            return None, SemanticVerdict(reason=NO_TEXT, revision=self.revision)
        try:
            said = self.classifier.choose(text, allowed.__contains__)
        except Exception as error:  # noqa: BLE001  # a text that a library stumbles on costs its job no more
            process_logger().warning(Event.PROMPT_UNJUDGED, revision=self.revision, reason=str(error))
            reason = f"the prompt cannot be judged ({error})"
            return None, SemanticVerdict(reason=reason, revision=self.revision)
        return said.nearest, SemanticVerdict(
            adapter=said.adapter,
            confidence=min(1.0, max(0.0, said.confidence)),
            threshold=said.threshold,
            # Of what the tenant may not know of, no word.
            runner_up=said.runner_up if said.runner_up in allowed else None,
            reason=said.reason,
            revision=self.revision,
        )


class SemanticBook:
    """What is in force, kept up by whoever watches the bucket of rules."""

    def __init__(self) -> None:
        self.standing: Standing | None = None
        self.trouble = ""
        """Why there is none, or an older one, though one was put into force."""
        self.is_asked = False
        self.changes = 0
        """Since the start."""
        self._decided = self._abstained = 0
        """Of those before."""
        self._costs_seconds: deque[float] = deque(maxlen=COSTS)

    @property
    def labels(self) -> tuple[str, ...]:
        """What it may choose at most."""
        return self.standing.labels if self.standing is not None else ()

    @property
    def decided(self) -> int:
        """Jobs that it chose an adapter for, since the start."""
        return self._decided + (self.standing.decided if self.standing is not None else 0)

    @property
    def abstained(self) -> int:
        """The others that it was asked about."""
        return self._abstained + (self.standing.abstained if self.standing is not None else 0)

    @property
    def costs_seconds(self) -> tuple[float, ...]:
        """Of the last decisions, each with the reading of its prompt."""
        return tuple(self._costs_seconds)

    def put(self, standing: Standing | None, trouble: str = "") -> None:
        """Take another one, or none."""
        self.changes += 1
        self._decided, self._abstained = self.decided, self.abstained
        self.standing = standing
        self.trouble = trouble
        self.is_asked = standing is not None or bool(trouble)

    def verdict(self, asked: Asked, allowed: frozenset[str]) -> SemanticVerdict:
        """What it says of a job."""
        standing = self.standing
        if standing is None:
            return SemanticVerdict(reason=self.trouble)
        known = standing.known(asked, allowed)
        if known is not None:
            return known
        begun = time.perf_counter()
        verdict = standing.judge(asked, allowed)
        self._costs_seconds.append(time.perf_counter() - begun)
        return verdict
