"""How soon the guard stops a canary, and how often one that is as good: its own code, on drawn answers."""

from __future__ import annotations

import random
from typing import Final

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import spread
from lorayard_dispatcher.guarding.trial import Answer, Trial
from lorayard_schemas.alias import AliasRecord, Arm, GuardRule

CONTROL, CANARY = "1", "2"
SHARE: Final = 0.1
ERRORS: Final = 0.05
MOST_ANSWERS: Final = 5000
"""Of a canary that is worse, and was not found by then."""
RULE: Final = GuardRule()
MILLISECONDS: Final = (20.0, 400.0)
"""Answers of both take as long: only errors differ."""


def guard_figures(guard_seeds: int, equal_seeds: int, equal_answers: int) -> dict[str, Figure]:
    """Figures by the key of their goal."""
    twice = [answers_until_stopped(2 * ERRORS, seed, MOST_ANSWERS) for seed in range(guard_seeds)]
    broken = [answers_until_stopped(0.5, seed, MOST_ANSWERS) for seed in range(guard_seeds)]
    equal = [answers_until_stopped(ERRORS, seed, equal_answers) for seed in range(equal_seeds)]
    stopped = sum(found is not None for found in equal)
    return {
        "guard_twice": _until(twice),
        "guard_broken": _until(broken),
        "guard_false": Figure(
            value=spread([stopped / equal_seeds]),
            note=f"{stopped} of {equal_seeds} trials of {equal_answers:,} answers each, alpha {RULE.alpha:g}",
        ),
    }


def answers_until_stopped(errors: float, seed: int, most: int) -> int | None:
    """How many answers a canary with that rate of errors has given when it is stopped; None: it is not."""
    arms = (Arm(version=CONTROL, weight=100 * (1 - SHARE)), Arm(version=CANARY, weight=100 * SHARE))
    record = AliasRecord(
        adapter="acme/bench/guarded", alias="stable", revision=1, arms=arms, control=CONTROL, guard=RULE
    )
    trial, draw, answers = Trial(record), random.Random(seed), 0
    while answers < most:
        tried = draw.random() < SHARE
        failed = draw.random() < (errors if tried else ERRORS)
        spent = None if failed else draw.uniform(*MILLISECONDS)
        answers += tried
        version = CANARY if tried else CONTROL
        if trial.see(Answer(version=version, failed=failed, milliseconds=spent)) is not None:
            return answers
    return None


def _until(found: list[int | None]) -> Figure:
    answers = [MOST_ANSWERS if one is None else one for one in found]
    never = found.count(None)
    note = f"{len(found)} seeds" + (f"; {never} were not stopped within {MOST_ANSWERS:,}" if never else "")
    return Figure(value=spread(answers), note=note)
