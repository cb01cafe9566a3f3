"""What rules lay on top of what was chosen, and the several adapters that one of them names (C7).

Adapters are laid one by one, in the order of the rules; what becomes of one that comes twice is the table's
to say, and of one that cannot be had the rule's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lorayard_schemas.additions import MAX_LEFT_OUT, MAX_WHY_CHARACTERS, Additions, LeftOut
from lorayard_schemas.composition import MAX_PARTS, MAX_WEIGHT
from lorayard_schemas.routes import RouteRule
from lorayard_schemas.rule_parts import Choice, Conflict, Missing, RulePart
from lorayard_shared.jobs.compose import SUM, Recipe, combine, recipe_of
from lorayard_shared.jobs.layer import Find, Layer
from lorayard_shared.jobs.resolve import (
    Added,
    BadCompositionError,
    Kept,
    Resolution,
    Rule,
    UnknownAdapterError,
)


def origins(found: Resolution, kept: Kept | None) -> tuple[str, ...]:
    """Where a choice came from: a rule adds to it where it is `on` all of these."""
    word = found.rule.partition(":")[0]
    if word != Rule.EXPLICIT and found.made_of is None:
        return (Choice.BASE,)
    if word == Rule.SESSION and kept is not None and kept.origin is not None:
        return (word, kept.origin)
    return (word,)


def chosen_several(rule: RouteRule, conflict: Conflict, find: Find) -> Resolution:
    """What a rule chooses that names several adapters.

    Raises:
        UnknownAdapterError: one that must not be missing is, or all are.
        BadCompositionError: they do not go together.
    """
    stack = _Stack(conflict, find)
    stack.lay(rule)
    if not stack.layers:
        raise UnknownAdapterError(
            spec=rule.specs[0],
            reason=f"rule {rule.name!r} has no adapter left: {stack.left_out[0].why}",
            field="composition",
            told=f"rule {rule.name!r} has no adapter left: {stack.left_out[0].for_tenant.why}",
        )
    found = combine(_of(recipe_of(rule), stack.layers), stack.layers, rule.label)
    return replace(found, added=Added(additions=stack.additions(()))) if stack.left_out else found


def with_added(chosen: Resolution, rules: Sequence[RouteRule], conflict: Conflict, find: Find) -> Resolution:
    """What was chosen, with what these rules add.

    Raises:
        UnknownAdapterError: one that must not be missing is.
        BadCompositionError: one does not go with the others, and the rule or the table wants no less.
    """
    stack = _Stack(conflict, find, _layers(chosen))
    if chosen.added is not None:
        stack.left_out.extend(chosen.added.additions.left_out)
    for rule in rules:
        stack.lay(rule)
    if not stack.by:
        added = Added(additions=stack.additions(()))
        return replace(chosen, added=added) if stack.left_out else chosen
    found = combine(_recipe(chosen, rules, stack), stack.layers, chosen.rule)
    by = tuple(rule.name for rule in rules if rule.name in stack.by)
    added = Added(additions=stack.additions(by), under=chosen)
    return replace(found, added=added, verdict=chosen.verdict)


def _layers(chosen: Resolution) -> Iterable[Layer]:
    made = chosen.composition
    if made is None:
        if chosen.record is not None:
            record = chosen.record
            yield Layer(spec=record.label, record=record, weight=1.0, alias=chosen.alias)
        return
    for part, record in zip(made.applied.parts, made.records, strict=True):
        yield Layer(spec=record.label, record=record, weight=part.weight, alias=part.alias)


def _recipe(chosen: Resolution, rules: Iterable[RouteRule], stack: _Stack) -> Recipe:
    """A composition that was chosen goes on as it is; else the first rule says how that says anything."""
    if chosen.composition is not None:
        said = recipe_of(chosen.composition.applied)
    else:
        saying = (rule for rule in rules if rule.policy is not None and rule.name in stack.by)
        said = next((recipe_of(rule) for rule in saying), SUM)
    return _of(said, stack.layers)


def _of(recipe: Recipe, layers: Sequence[Layer]) -> Recipe:
    """One adapter alone is only weighed: there is nothing that it could be merged with."""
    return recipe if len(layers) > 1 else SUM


class _Stack:
    """Adapters as they are laid upon each other."""

    def __init__(self, conflict: Conflict, find: Find, chosen: Iterable[Layer] = ()) -> None:
        self.layers = list(chosen)
        self.left_out: list[LeftOut] = []
        self._conflict = conflict
        self._find = find

    @property
    def by(self) -> set[str]:
        """The rules of which something lies here."""
        return {name for layer in self.layers for name in layer.by}

    def additions(self, by: tuple[str, ...]) -> Additions:
        """As the result tells it."""
        told = self.left_out
        if len(told) > MAX_LEFT_OUT:
            more = len(told) - MAX_LEFT_OUT + 1
            told = [
                *told[: MAX_LEFT_OUT - 1],
                LeftOut(adapter="others", why=f"{more} more, for like reasons"),
            ]
        return Additions(by=by, left_out=tuple(told))

    def lay(self, rule: RouteRule) -> None:
        """Everything that a rule names."""
        for part in rule.parts:
            try:
                record, alias = self._find(part.adapter)
            except UnknownAdapterError as error:
                self._lack(rule, part, error)
                continue
            by = () if rule.chooses else (rule.name,)
            layer = Layer(spec=part.adapter, record=record, weight=part.weight, alias=alias, by=by)
            fault = self._lay(rule, layer)
            if fault is not None:
                self._miss(rule, part, fault)

    def _lay(self, rule: RouteRule, layer: Layer) -> str | None:
        """Why it cannot lie here; None: it does, or what comes twice was seen to."""
        if fault := layer.misfit(()):
            return fault
        rivals = [other for other in self.layers if self._is_twice(layer, other)]
        if rivals:
            return self._settle(rule, rivals, layer)
        if len(self.layers) == MAX_PARTS:
            return f"there are {MAX_PARTS} adapters already, and no more go together"
        if fault := self._against(layer, self.layers):
            return fault
        self.layers.append(layer)
        return None

    def _against(self, layer: Layer, below: Sequence[Layer]) -> str | None:
        unfit = next(
            (f"nothing can be laid on it: {fault}" for each in below if (fault := each.misfit(()))), None
        )
        return unfit or layer.misfit(below)

    def _is_twice(self, layer: Layer, other: Layer) -> bool:
        if layer.record.digest == other.record.digest:
            return True
        # One rule may well mix two versions, and a sum of two is one.
        sums = self._conflict is Conflict.SUM
        return layer.record.name == other.record.name and layer.by != other.by and not sums

    def _settle(self, rule: RouteRule, rivals: Sequence[Layer], layer: Layer) -> str | None:
        """By the table's policy. What leaves is told, with what took its place."""
        match self._conflict:
            case Conflict.SUM:
                return self._sum(rule, rivals[0], layer)
            case Conflict.REFUSE:
                there = rivals[0].record.label
                reason = f"rule {rule.name!r} names {layer.record.label}, and {there} is there already"
                raise BadCompositionError(spec=layer.spec, field="composition", reason=reason)
            case Conflict.FIRST:
                later = False
            case Conflict.LAST:
                later = True
            case Conflict.MAX:
                later = abs(layer.weight) > max(abs(rival.weight) for rival in rivals)
        if not later:
            self._leave(layer, rule.name, rivals[0])
            return None
        others = [each for each in self.layers if each not in rivals]
        if fault := self._against(layer, others):
            return fault
        self.layers = [
            layer if each is rivals[0] else each
            for each in self.layers
            if each is rivals[0] or each not in rivals
        ]
        for rival in rivals:
            self._leave(rival, ", ".join(rival.by), layer)
        return None

    def _leave(self, gone: Layer, rule: str, stays: Layer) -> None:
        copy = ", which has the same bytes," if _is_copy(gone, stays) else ""
        why = f"{stays.weight:g} {stays.record.label}{copy} stands (conflict = {self._conflict})"
        self.left_out.append(LeftOut(adapter=gone.record.label, rule=rule, why=why))

    def _sum(self, rule: RouteRule, other: Layer, layer: Layer) -> str | None:
        weight = other.weight + layer.weight
        if weight == 0 or abs(weight) > MAX_WEIGHT:
            return f"its weights sum to {weight:g}: they must not be 0, nor beyond {MAX_WEIGHT:g}"
        by = tuple(dict.fromkeys((*other.by, *layer.by)))
        summed = replace(other, weight=weight, by=by)
        self.layers = [summed if each is other else each for each in self.layers]
        if _is_copy(layer, other):  # nobody who reads the two names would know
            why = (
                f"it has the same bytes as {other.record.label}, which has the weight of both now, {weight:g}"
            )
            self.left_out.append(LeftOut(adapter=layer.record.label, rule=rule.name, why=why))
        return None

    def _lack(self, rule: RouteRule, part: RulePart, error: UnknownAdapterError) -> None:
        """It is not there for this tenant, or for nobody: which of the two only operators are told (D7)."""
        if rule.missing is Missing.REFUSE:
            reason = f"rule {rule.name!r}: {error.reason}"
            found = UnknownAdapterError(spec=part.adapter, reason=reason, field="composition")
            raise found.named_by(f"rule {rule.name!r}") from error
        self._omit(rule, part, error.reason, unseen=True)

    def _miss(self, rule: RouteRule, part: RulePart, fault: str) -> None:
        """It is there, and cannot lie here."""
        if rule.missing is Missing.REFUSE:
            reason = f"rule {rule.name!r}: {fault}"
            raise BadCompositionError(spec=part.adapter, reason=reason, field="composition")
        self._omit(rule, part, fault, unseen=False)

    def _omit(self, rule: RouteRule, part: RulePart, why: str, *, unseen: bool) -> None:
        cut = why[:MAX_WHY_CHARACTERS]
        self.left_out.append(LeftOut(adapter=part.adapter, rule=rule.name, why=cut, unseen=unseen))


def _is_copy(one: Layer, other: Layer) -> bool:
    """Whether two names stand for the same bytes."""
    return one.record.label != other.record.label and one.record.digest == other.record.digest
