"""One revision of a guarded alias: what its versions' answers were, and whether one of them is to be stopped.

Two tests for each version that is tried out: does it fail more often than the control, and is it slower than
the control usually is. They share `alpha`. Slow is what takes longer than nine in ten of the control's first
answers took: a bar that stands still, so that the test of rates is exact here as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lorayard_dispatcher.guarding.two_rates import Counted, RateTest
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.trial import Counts, RateState, TrialRecord, TriedState

BAR_ANSWERS = 50
"""Of the control that set the bar; its 90th percentile is off by a few per cent of answers then, for both."""

BAR_SHARE = 0.9
TESTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one job ended."""

    version: str
    failed: bool
    milliseconds: float | None = None
    """At work on it, without queue and loads; None: nothing was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A version that is to be stopped, and the statistics that say so."""

    version: str
    why: str


@dataclass(slots=True)
class _Tests:
    failures: RateTest = field(default_factory=RateTest)
    slow: RateTest = field(default_factory=RateTest)


class Trial:
    """The answers to one revision."""

    def __init__(self, record: AliasRecord, kept: TrialRecord | None = None) -> None:
        """`kept` is what was counted of this revision before, by whoever did."""
        assert record.guard is not None, "only guarded aliases are tried"
        self.record = record
        self._guard = record.guard
        versions = [arm.version for arm in record.arms if arm.weight > 0 and arm.version != record.control]
        self._tests = {version: _Tests() for version in versions}
        self._bound = -math.log(record.guard.alpha / (TESTS * max(1, len(versions))))
        self._first: list[float] = []
        self._bar = math.inf
        self.answers = 0
        """That were counted."""
        if kept is not None:
            self._resume(kept)

    @property
    def kept(self) -> TrialRecord:
        """What has to be known to go on."""
        return TrialRecord(
            adapter=self.record.adapter,
            alias=self.record.alias,
            revision=self.record.revision,
            answers=self.answers,
            tried=tuple(
                TriedState(version=version, failures=_state(tests.failures), slow=_state(tests.slow))
                for version, tests in self._tests.items()
            ),
            first_ms=tuple(self._first),
            bar_ms=self._bar if math.isfinite(self._bar) else None,
        )

    def _resume(self, kept: TrialRecord) -> None:
        self.answers = kept.answers
        self._first = list(kept.first_ms)
        self._bar = kept.bar_ms if kept.bar_ms is not None else math.inf
        for tried in kept.tried:
            if tried.version in self._tests:
                self._tests[tried.version] = _Tests(failures=_test(tried.failures), slow=_test(tried.slow))

    def see(self, answer: Answer) -> Verdict | None:
        """Count an answer; a verdict when it was one too many."""
        tests = self._tests.get(answer.version)
        if tests is None and answer.version != self.record.control:
            return None
        self.answers += 1
        if tests is None:
            self._see_control(answer)
            return None
        tests.failures.see_tried(hit=answer.failed)
        if answer.milliseconds is not None and math.isfinite(self._bar):
            tests.slow.see_tried(hit=answer.milliseconds > self._bar)
        if tests.failures.tried.jobs < self._guard.least_jobs:
            return None
        return self._judge(answer.version, tests)

    def _see_control(self, answer: Answer) -> None:
        for tests in self._tests.values():
            tests.failures.see_control(hit=answer.failed)
        if answer.milliseconds is None:
            return
        if math.isfinite(self._bar):
            for tests in self._tests.values():
                tests.slow.see_control(hit=answer.milliseconds > self._bar)
            return
        self._first.append(answer.milliseconds)
        if len(self._first) >= BAR_ANSWERS:
            self._bar = sorted(self._first)[int(BAR_SHARE * BAR_ANSWERS)]

    def _judge(self, version: str, tests: _Tests) -> Verdict | None:
        for what, test in (("failed", tests.failures), (f"took over {self._bar:.0f} ms", tests.slow)):
            if test.log_evidence >= self._bound:
                return Verdict(version=version, why=self._why(version, what, test))
        return None

    def _why(self, version: str, what: str, test: RateTest) -> str:
        tried, control = test.tried, test.control
        return (
            f"{version} {what} in {tried.hits} of {tried.jobs} ({tried.rate:.1%}), {self.record.control} in "
            f"{control.hits} of {control.jobs} ({control.rate:.1%}); log evidence {test.log_evidence:.1f}, "
            f"stopped from {self._bound:.1f} (alpha {self._guard.alpha:g})"
        )


def _state(test: RateTest) -> RateState:
    return RateState(
        control=_counts(test.control),
        tried=_counts(test.tried),
        block=_counts(test.block),
        log_evidence=test.log_evidence,
    )


def _test(state: RateState) -> RateTest:
    return RateTest(
        control=_counted(state.control),
        tried=_counted(state.tried),
        block=_counted(state.block),
        log_evidence=state.log_evidence,
    )


def _counts(counted: Counted) -> Counts:
    return Counts(jobs=counted.jobs, hits=counted.hits)


def _counted(counts: Counts) -> Counted:
    return Counted(jobs=counts.jobs, hits=counts.hits)
