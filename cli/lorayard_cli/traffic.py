"""What traffic has taught a yard's dispatchers, and whether a classifier is the better for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.output import counted
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.samples import MAX_SAMPLES_BYTES, TrafficSamples, samples_object
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.objects import Objects

if TYPE_CHECKING:
    from lorayard_shared.semantic.artifact import Artifact
    from lorayard_shared.semantic.classifier import Classifier
    from lorayard_shared.semantic.evaluation import Evaluation
    from lorayard_shared.semantic.examples import Example
    from lorayard_shared.semantic.record import CrossValidation
    from lorayard_shared.semantic.training import Observed

MOST_OF_ONE = 200
"""Samples of one adapter that are learnt: more would drown the examples, and a fit would take minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Samples that may be learnt from."""

    observed: tuple[Observed, ...] = ()
    unused: int = 0
    """Of adapters that no example is given for, made by another encoder, or more than are learnt of one."""

    @property
    def told(self) -> str:
        """For people."""
        of = Counter(one.adapter for one in self.observed)
        unused = ""
        if self.unused:
            unused = f"; {self.unused} of no use (other adapters, another encoder, or too many of one)"
        return f"traffic: {counted(len(self.observed), 'embedding')} of {counted(len(of), 'adapter')}{unused}"


async def read_traffic(connected: Bus, encoder: str, labels: Sequence[str]) -> Traffic:
    """What the dispatchers of all partitions have drawn, as far as it goes with this encoder.

    Raises:
        CommandError: there is nothing to learn from.
    """
    objects, unused = Objects(connected, "payloads"), 0
    observed: list[Observed] = []
    for partition in range(connected.settings.partitions):
        data = await objects.get(samples_object(partition), limit_bytes=MAX_SAMPLES_BYTES)
        told = _read(data) if data is not None else None
        if told is None:
            continue
        found = list(_observed(told, labels)) if told.encoder == encoder else []
        observed += found
        drawn = sum(len(one.vectors) for one in told.adapters.values()) // (2 * told.dimensions)
        unused += drawn - len(found)
    if not observed:
        message = (
            f"no dispatcher has drawn any embedding that goes with this encoder ({unused} are of no use); "
            "they draw with LORAYARD_SEMANTIC_SAMPLES above 0, while a classifier of this encoder is in force"
        )
        raise CommandError(ExitCode.BAD_INPUT, "no_traffic", message, field="traffic")
    learnt = tuple(_some_of_each(observed))
    return Traffic(observed=learnt, unused=unused + len(observed) - len(learnt))


def _read(data: bytes) -> TrafficSamples | None:
    try:
        return decode(TrafficSamples, data)
    except MalformedMessageError:
        return None  # a newer dispatcher's, or nobody's of ours


def _observed(told: TrafficSamples, labels: Sequence[str]) -> Iterator[Observed]:
    import numpy as np

    from lorayard_shared.semantic.training import Observed

    for name, samples in told.adapters.items():
        label = _label_of(name, labels)
        whole = len(samples.vectors) // (2 * told.dimensions)
        if label is None:
            continue
        numbers = np.frombuffer(samples.vectors, "<f2", whole * told.dimensions).astype(np.float32)
        for vector in numbers.reshape(whole, told.dimensions):
            if np.isfinite(vector).all():
                yield Observed(adapter=label, vector=vector)


def _some_of_each(observed: Sequence[Observed]) -> Iterator[Observed]:
    """Of each adapter no more than are learnt, evenly of all partitions and of all names that it goes by."""
    of_one: dict[str, list[Observed]] = {}
    for one in observed:
        of_one.setdefault(one.adapter, []).append(one)
    for drawn in of_one.values():
        most = min(len(drawn), MOST_OF_ONE)
        yield from (drawn[number * len(drawn) // most] for number in range(most))


def _label_of(name: str, labels: Sequence[str]) -> str | None:
    """Jobs may name a version or an alias where the examples name the adapter, and the other way round."""
    if name in labels:
        return name
    same = [label for label in labels if label.partition("@")[0] == name.partition("@")[0]]
    return same[0] if len(same) == 1 else None


def check_no_worse(taught: CrossValidation, plain: CrossValidation) -> None:
    """Both judged on the same examples, with and without the traffic.

    Raises:
        CommandError: traffic makes it worse.
    """
    if _validated(taught) < _validated(plain):
        message = (
            f"nothing was changed: with the traffic {taught.correct} of {taught.examples} examples are right "
            f"and {_wrong(taught)} wrong, without it {plain.correct} and {_wrong(plain)}"
        )
        raise CommandError(ExitCode.FAILED, "no_better", message, field="traffic")


def check_does_as_well(artifact: Artifact, rival: Classifier, held_out: Sequence[Example]) -> None:
    """Judged on prompts that neither was made from.

    Raises:
        CommandError: the one in force does better.
    """
    from lorayard_shared.semantic.classifier import Classifier
    from lorayard_shared.semantic.evaluation import evaluate

    made = evaluate(Classifier(artifact), held_out)
    stands = evaluate(rival, held_out)
    if _share(made) < _share(stands):
        message = (
            f"nothing was changed: the one in force gets {_right(stands)} of {stands.examples} prompts right "
            f"and {stands.decided - stands.correct} wrong, the new one {_right(made)} of {made.examples} "
            f"and {made.decided - made.correct}"
        )
        raise CommandError(ExitCode.FAILED, "no_better", message, field="held-out")


def _wrong(found: CrossValidation) -> int:
    return found.decided - found.correct + found.background_decided


def _validated(found: CrossValidation) -> int:
    """A wrong decision costs what a right one is worth; an abstention neither."""
    return found.correct - _wrong(found)


def _right(found: Evaluation) -> int:
    return found.correct + found.rightly_abstained


def _share(found: Evaluation) -> float:
    """The same, of what each is judged by: prompts that one has learnt are left out for it."""
    wrong = found.decided - found.correct
    return (_right(found) - wrong) / found.examples if found.examples else 0.0
