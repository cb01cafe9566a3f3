"""What becomes of an alias: split, promoted, rolled back, stopped by its guard, taken away. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import WHOLE_PERCENT, AliasRecord, Arm, GuardRule, Sticky
from lorayard_schemas.names import version_order
from lorayard_schemas.reasons import plain_reason
from lorayard_shared.registry.errors import AliasRefusedError

Versions = Mapping[str, AdapterRecord]
"""Of one adapter: version -> record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Who changes it, why, and when (unix seconds)."""

    by: str
    why: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitWish:
    """What is asked of a split; None leaves it as it was, or as is usual."""

    adapter: str
    alias: str
    weights: tuple[tuple[str, float], ...]
    """Versions and percentages."""
    sticky: Sticky | None = None
    user_field: str | None = None
    experiment: str | None = None
    guard: GuardRule | None = None
    """With a guard the heaviest version of before is what the others are measured by."""


def split(before: AliasRecord | None, wish: SplitWish, versions: Versions, signed: Signed) -> AliasRecord:
    """Give versions their shares.

    Raises:
        AliasRefusedError: a version does not serve, or the weights are none.
    """
    if not wish.weights:
        raise AliasRefusedError(field="weights", reason="the weights sum to 0, and must sum to 100")
    weights = [(version, weight) for version, weight in wish.weights if weight > 0]
    check_targets(wish.adapter, [version for version, _ in weights], versions)
    given = {
        "sticky": wish.sticky,
        "user_field": wish.user_field,
        "experiment": wish.experiment,
    }
    kept = before.model_dump(include=set(given)) if before is not None else {}
    named = {version for version, _ in wish.weights}
    control = _control(before, wish) if wish.guard is not None else None
    return _make(
        before,
        wish.adapter,
        wish.alias,
        signed,
        **{**kept, **{name: value for name, value in given.items() if value is not None}},
        arms=[{"version": version, "weight": weight} for version, weight in wish.weights],
        guard=wish.guard,
        control=control,
        stopped=[
            version for version in (before.stopped if before is not None else ()) if version not in named
        ],
    )


def _control(before: AliasRecord | None, wish: SplitWish) -> str:
    """The heaviest that was there before; of a new alias the heaviest."""
    named = dict(wish.weights)
    old = [arm for arm in before.arms if arm.version in named] if before is not None else []
    if old:
        return max(old, key=lambda arm: arm.weight).version
    return max(wish.weights, key=lambda pair: pair[1])[0]


def promote(
    before: AliasRecord | None, label: str, version: str | None, versions: Versions, signed: Signed
) -> AliasRecord:
    """Give one version everything; None: the one that is tried out.

    Raises:
        AliasRefusedError: it does not serve, or it is not clear which is meant.
    """
    chosen = to_promote(before, label, version)
    assert before is not None, "else nothing could be promoted"
    check_targets(before.adapter, [chosen], versions)
    kept = before.model_dump(include={"sticky", "user_field", "experiment"})
    stopped = [other for other in before.stopped if other != chosen]
    arms = [Arm(version=chosen, weight=WHOLE_PERCENT)]
    return _make(before, before.adapter, before.alias, signed, **kept, arms=arms, stopped=stopped)


def to_promote(before: AliasRecord | None, label: str, version: str | None) -> str:
    """The version that a promotion means; `version` is the one that was named, if one was.

    Raises:
        AliasRefusedError: there is no alias, or it is not clear which is meant.
    """
    if before is None or not before.arms:
        raise AliasRefusedError(
            field="alias", reason=f"there is no alias {label}; make it: adapters split {label} VERSION=100"
        )
    return version if version is not None else _tried_out(before)


def _tried_out(record: AliasRecord) -> str:
    control = record.control or max(record.arms, key=lambda arm: arm.weight).version
    others = [arm.version for arm in record.arms if arm.version != control and arm.weight > 0]
    if len(others) != 1:
        raise AliasRefusedError(
            field="version", reason=f"{record.spec} is {record.shares}: name the version to promote"
        )
    return others[0]


def roll_back(
    past: Sequence[AliasRecord], label: str, to: int | None, versions: Versions, signed: Signed
) -> AliasRecord:
    """Return to a revision; None: to the one before, past returns and what the guard has stopped.

    Raises:
        AliasRefusedError: there is none, or what it leads to does not serve.
    """
    if not past:
        raise AliasRefusedError(field="alias", reason=f"there is no alias {label}")
    now, by_revision = past[-1], {record.revision: record for record in past}
    target = by_revision.get(to) if to is not None else _earlier(now, by_revision)
    if target is None or not target.arms:
        have = ", ".join(str(revision) for revision in sorted(by_revision))
        which = "no earlier revision to return to" if to is None else f"no revision {to}"
        raise AliasRefusedError(field="to", reason=f"{label} has {which}; kept are {have}")
    check_targets(now.adapter, [arm.version for arm in target.arms if arm.weight > 0], versions)
    kept = target.model_dump(include={"arms", "sticky", "user_field", "experiment", "control", "guard"})
    restores = target.restores or target.revision
    return _make(now, now.adapter, now.alias, signed, **kept, restores=restores, stopped=now.stopped)


def _earlier(now: AliasRecord, by_revision: Mapping[int, AliasRecord]) -> AliasRecord | None:
    standing = now.restores or now.revision
    for revision in sorted((number for number in by_revision if number < standing), reverse=True):
        record = by_revision[revision]
        if record.arms and not any(record.weight(version) > 0 for version in now.stopped):
            return record
    return None


def stop(before: AliasRecord | None, revision: int, version: str, signed: Signed) -> AliasRecord | None:
    """Take a version's share away to the control; None where somebody has changed the alias meanwhile."""
    if before is None or before.revision != revision or before.control is None:
        return None
    control, freed = before.control, before.weight(version)
    weights = {arm.version: arm.weight for arm in before.arms}
    weights |= {version: 0.0, control: weights[control] + freed}
    kept = before.model_dump(include={"sticky", "user_field", "experiment", "control", "guard"})
    arms = [{"version": name, "weight": weight} for name, weight in weights.items()]
    stopped = sorted({*before.stopped, version}, key=version_order)
    return _make(before, before.adapter, before.alias, signed, **kept, arms=arms, stopped=stopped)


def retire(before: AliasRecord | None, label: str, signed: Signed) -> AliasRecord:
    """Let there be no such alias; its history goes on.

    Raises:
        AliasRefusedError: there is none.
    """
    if before is None or not before.arms:
        raise AliasRefusedError(field="alias", reason=f"there is no alias {label}")
    return _make(before, before.adapter, before.alias, signed, arms=())


def undo(
    now: AliasRecord | None, made: AliasRecord, before: AliasRecord | None, signed: Signed
) -> AliasRecord | None:
    """What stands instead of a change that turned out not to be possible: what was before, as a revision of
    its own. None where somebody has changed the alias since: then that counts."""
    if now != made:
        return None
    if before is None:
        return _make(made, made.adapter, made.alias, signed, arms=(), stopped=made.stopped)
    kept = before.model_dump(include={"arms", "sticky", "user_field", "experiment", "control", "guard"})
    restores = before.restores or before.revision
    return _make(made, made.adapter, made.alias, signed, **kept, restores=restores, stopped=before.stopped)


def check_targets(adapter: str, wanted: Sequence[str], versions: Versions) -> None:
    """Every version serves, and on the same base model.

    Raises:
        AliasRefusedError: naming the one that does not.
    """
    for version in wanted:
        record = versions.get(version)
        if record is None:
            have = ", ".join(sorted(versions, key=version_order)) or "none"
            raise AliasRefusedError(
                field="version", reason=f"{adapter} has no version {version!r}; registered: {have}"
            )
        if record.state is not AdapterState.ACTIVE:
            raise AliasRefusedError(
                field="version", reason=f"{adapter}@{version} is {record.state} and serves nobody"
            )
    bases = {versions[version].base_digest: version for version in wanted}
    if len(bases) > 1:
        names = " and ".join(sorted(bases.values(), key=version_order))
        raise AliasRefusedError(field="version", reason=f"{names} of {adapter} fit different base models")


def _make(
    before: AliasRecord | None, adapter: str, alias: str, signed: Signed, **given: object
) -> AliasRecord:
    try:
        return AliasRecord.model_validate(
            {
                "adapter": adapter,
                "alias": alias,
                "revision": before.revision + 1 if before is not None else 1,
                "by": signed.by,
                "why": signed.why,
                "at": signed.at,
                **given,
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "weights"
        reason = plain_reason(first)
        if first["loc"][2:] == ("weight",):
            arms = given["arms"]
            assert isinstance(arms, Sequence), "as the error's place says"
            reason = f"{arms[int(first['loc'][1])]['version']}={first['input']:g}: {reason}"
        raise AliasRefusedError(field=field, reason=reason) from error
