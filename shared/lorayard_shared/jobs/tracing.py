"""What decides on a request's adapter, step by step, for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lorayard_schemas.additions import LeftOut
from lorayard_schemas.routes import Stage
from lorayard_shared.jobs.added import origins
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.directory import Directory
from lorayard_shared.jobs.resolve import Kept, Resolution, UnknownAdapterError
from lorayard_shared.jobs.rules import misfits


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was asked for an adapter."""

    what: str
    """A stage, or `stage:name` of a rule."""
    decides: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What was asked until something decided, and what that was."""

    steps: tuple[Step, ...]
    found: Resolution | None
    additions: tuple[Step, ...] = ()
    """The rules that add, each with whether it fits."""
    refused: str = ""
    """Why there is none: the job would be refused."""

    @property
    def added_by(self) -> tuple[str, ...]:
        """The rules that would add something."""
        told = self.found.additions if self.found is not None else None
        return told.by if told is not None else ()

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What rules name and the job would go without."""
        told = self.found.additions if self.found is not None else None
        return told.left_out if told is not None else ()


def trace(directory: Directory, asked: Asked, kept: Kept | None) -> Trace:
    """What would decide on a request, and why what comes before it would not."""
    found: Resolution | None = None
    refused = ""
    try:
        found = directory.resolve(asked, kept)
    except UnknownAdapterError as error:
        refused = error.reason
    steps: list[Step] = []
    for stage in _order(directory, asked):
        steps.extend(_steps(directory, stage, asked, kept))
        if steps and steps[-1].decides:
            break
    else:
        steps.append(Step(what="base", decides=True, why="nothing else did"))
    additions = () if found is None else tuple(_additions(directory, found.chosen, asked, kept))
    return Trace(steps=tuple(steps), found=found, additions=additions, refused=refused)


def _order(directory: Directory, asked: Asked) -> tuple[Stage, ...]:
    return (Stage.EXPLICIT,) if asked.composition is not None else directory.rules.table.order


def _additions(directory: Directory, chosen: Resolution, asked: Asked, kept: Kept | None) -> Iterator[Step]:
    came_from = origins(chosen, kept)
    for rule, on in directory.rules.adding:
        reasons = [f"it adds nothing to what came from {word}" for word in came_from if word not in on]
        reasons += misfits(rule, asked)
        adds = " + ".join(part.label for part in rule.parts)
        why = "; ".join(reasons) or f"everything fits: {adds}"
        yield Step(what=rule.label, decides=not reasons, why=why)


def _steps(directory: Directory, stage: Stage, asked: Asked, kept: Kept | None) -> list[Step]:
    if stage is Stage.EXPLICIT:
        named = asked.adapter if asked.composition is None else asked.composition.label
        why = f"it names {named}" if named is not None else "it names no adapter"
        return [Step(what=stage, decides=named is not None, why=why)]
    if stage is Stage.SESSION:
        return [_session(directory, asked, kept)]
    if stage is Stage.SEMANTIC:
        return [_semantic(directory, asked)]
    steps: list[Step] = []
    for rule in directory.rules.table.rules:
        if rule.chooses and rule.stage is stage:
            reasons = list(misfits(rule, asked))
            why = "; ".join(reasons) or f"everything fits: {rule.outcome}"
            steps.append(Step(what=rule.label, decides=not reasons, why=why))
            if not reasons:
                return steps
    if stage is Stage.DEFAULT:
        default = directory.default
        why = f"the yard's default is {default}" if default is not None else "the yard has no default adapter"
        steps.append(Step(what=stage, decides=default is not None, why=why))
    return steps


def _session(directory: Directory, asked: Asked, kept: Kept | None) -> Step:
    if asked.session is None:
        return Step(what=Stage.SESSION, decides=False, why="it is of no session")
    if kept is None:
        return Step(what=Stage.SESSION, decides=False, why="the session has had no adapter")
    if directory.of_session(kept, asked) is None:
        return Step(what=Stage.SESSION, decides=False, why="what the session had is not there any more")
    had = "the base model" if kept.adapter is None else f"{kept.adapter.name}@{kept.adapter.version}"
    return Step(what=Stage.SESSION, decides=True, why=f"the session had {had}")


def _semantic(directory: Directory, asked: Asked) -> Step:
    verdict = directory.meant(asked)
    if verdict is None:
        return Step(what=Stage.SEMANTIC, decides=False, why="no classifier is in force")
    decides = verdict.adapter is not None
    return Step(
        what=Stage.SEMANTIC, decides=decides, why=f"{'' if decides else 'it abstains: '}{verdict.told}"
    )
