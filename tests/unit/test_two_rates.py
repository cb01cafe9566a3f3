"""Evidence that may be looked at all the time: seldom wrong about equals, soon right about worse (D4)."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorayard_dispatcher.guarding.trial import BAR_ANSWERS, Answer, Trial, Verdict
from lorayard_dispatcher.guarding.two_rates import RateTest
from lorayard_schemas.alias import AliasRecord, Arm, GuardRule
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.trial import TrialRecord

ALPHA = 0.05
RUNS = 200
MOST_ALARMS = 20
"""Of 200 runs at 5 %: 10 are the most that are expected, and more than 20 come once in a thousand."""


def judged(rates: tuple[float, float], share: float, jobs: int, seed: int) -> int | None:
    """After how many jobs the second arm, with so great a share, counts as worse than the first."""
    draw, test = random.Random(seed), RateTest()
    for number in range(1, jobs + 1):
        if draw.random() >= share:
            test.see_control(hit=draw.random() < rates[0])
            continue
        test.see_tried(hit=draw.random() < rates[1])
        if test.log_evidence >= -math.log(ALPHA):
            return number
    return None


@pytest.mark.parametrize(("rate", "share"), [(0.01, 0.1), (0.05, 0.05), (0.3, 0.5)])
def test_one_that_is_as_good_is_seldom_stopped_however_often_one_looks__d4(rate: float, share: float) -> None:
    alarms = sum(judged((rate, rate), share, 1000, seed) is not None for seed in range(RUNS))
    assert alarms <= MOST_ALARMS


@pytest.mark.parametrize(
    ("rates", "share", "jobs"),
    [((0.1, 0.2), 0.2, 4000), ((0.05, 0.1), 0.5, 4000), ((0.02, 0.5), 0.1, 200), ((0.0, 1.0), 0.05, 200)],
)
def test_one_that_fails_twice_as_often_is_found_and_one_that_breaks_at_once__d4(
    rates: tuple[float, float], share: float, jobs: int
) -> None:
    found = [judged(rates, share, jobs, seed) for seed in range(20)]
    assert sum(number is not None for number in found) >= 18


def test_one_that_is_better_is_never_stopped__d4() -> None:
    assert all(judged((0.3, 0.05), 0.5, 500, seed) is None for seed in range(20))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_every_outcome_is_counted_once(
    outcomes: list[tuple[bool, bool]],
) -> None:
    test = RateTest()
    for is_tried, hit in outcomes:
        (test.see_tried if is_tried else test.see_control)(hit=hit)
    test.see_tried(hit=False)
    assert test.tried.jobs + test.control.jobs == len(outcomes) + 1
    assert test.tried.hits + test.control.hits == sum(hit for _, hit in outcomes)
    assert math.isfinite(test.log_evidence)


@given(st.integers(0, 6), st.floats(0.01, 0.99), st.lists(st.booleans(), max_size=40))
def test_a_block_of_equals_adds_no_evidence_on_average__d4(size: int, rate: float, past: list[bool]) -> None:
    """What makes it valid: over all that a block can hold, each as likely as it is, the mean is 1 at most."""
    mean = 0.0
    for hits in range(size + 1):
        for last in (False, True):
            test = RateTest()
            for number, hit in enumerate(past):
                (test.see_tried if number % 3 == 0 else test.see_control)(hit=hit)
            test.see_tried(hit=False)
            before = test.log_evidence
            for number in range(size):
                test.see_control(hit=number < hits)
            test.see_tried(hit=last)
            chance = math.comb(size, hits) * rate**hits * (1 - rate) ** (size - hits)
            mean += chance * (rate if last else 1 - rate) * math.exp(test.log_evidence - before)
    assert mean <= 1 + 1e-9


# ---- a trial of two versions


def trial(alpha: float = 0.01, least_jobs: int = 20) -> Trial:
    shares = (Arm(version="v1", weight=90.0), Arm(version="v2", weight=10.0))
    guard = GuardRule(alpha=alpha, least_jobs=least_jobs)
    return Trial(
        AliasRecord(adapter="a/b/c", alias="stable", revision=3, arms=shares, control="v1", guard=guard)
    )


def seen(
    trial: Trial,
    rounds: int,
    *,
    failed: tuple[str, ...] = (),
    slow: tuple[str, ...] = (),
    tried: str = "v2",
) -> list[Verdict]:
    """Rounds of nine answers of the control and one of what is tried; what came of them."""
    verdicts: list[Verdict] = []
    for number in range(10 * rounds):
        version = tried if number % 10 == 9 else "v1"
        fails = version in failed
        spent = None if fails else (25.0 if version in slow else 10.0) + number % 7
        verdict = trial.see(Answer(version=version, failed=fails, milliseconds=spent))
        verdicts += [verdict] if verdict is not None else []
    return verdicts


def test_a_version_that_fails_is_stopped_and_the_numbers_say_why__d4() -> None:
    first = seen(trial(), 30, failed=("v2",))[0]
    assert first.version == "v2"
    assert "v2 failed in 20 of 20 (100.0%), v1 in 0 of 180 (0.0%)" in first.why


def test_nothing_is_stopped_on_fewer_answers_than_were_asked_for__d4() -> None:
    tried = trial(least_jobs=30)
    assert seen(tried, 29, failed=("v2",)) == []
    assert seen(tried, 1, failed=("v2",))


def test_a_version_that_is_slower_is_stopped__d4() -> None:
    tried = trial()
    assert seen(tried, BAR_ANSWERS) == [], "as fast"
    assert "v2 took over 16 ms" in seen(tried, 60, slow=("v2",))[0].why


@given(st.lists(st.sampled_from(["v1", "v2", "v2!", "v2~", "v1~"]), max_size=200), st.integers(0, 200))
def test_a_trial_that_is_handed_on_goes_on_as_if_it_had_not_been__d4(told: list[str], cut: int) -> None:
    def count(into: Trial, some: list[str]) -> list[Verdict | None]:
        return [
            into.see(Answer(version=one[:2], failed="!" in one, milliseconds=90.0 if "~" in one else 10.0))
            for one in some
        ]

    whole, first = trial(), trial()
    count(first, told[:cut])
    second = Trial(first.record, decode(TrialRecord, encode(first.kept)))
    assert count(whole, told)[cut:] == count(second, told[cut:])
    assert whole.kept == second.kept


def test_a_control_that_is_worse_and_a_stranger_stop_nobody__d4() -> None:
    assert seen(trial(), 100, failed=("v1",)) == []
    assert seen(trial(), 100, slow=("v1",)) == []
    assert seen(trial(), 100, failed=("v9",), tried="v9") == []
