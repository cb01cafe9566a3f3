"""Everything that leads from a job to an adapter version: names, aliases, rules, sessions, who may use what.

The same answer for the same request and the same revisions: nothing here is drawn, and no clock is read. A
version that a tenant may not use is left out before anything is looked at, so that it is refused in the very
words of one that does not exist, whatever led to it: without its name where the job did not name it (D7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import DEFAULT_ALIAS, AliasRecord, AliasRef
from lorayard_schemas.names import BASE, is_alias
from lorayard_schemas.routes import Stage
from lorayard_schemas.semantic import SemanticVerdict
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.added import chosen_several, origins
from lorayard_shared.jobs.adder import Adder
from lorayard_shared.jobs.alias_book import AliasBook
from lorayard_shared.jobs.asked import Asked, sticky_key
from lorayard_shared.jobs.choosable import Choosable
from lorayard_shared.jobs.compose import resolve_composition
from lorayard_shared.jobs.resolve import (
    Kept,
    Resolution,
    Rule,
    UnknownAdapterError,
    find,
    read_spec,
    still_there,
)
from lorayard_shared.jobs.rule_book import RuleBook
from lorayard_shared.jobs.rules import fits
from lorayard_shared.jobs.semantic_book import SemanticBook
from lorayard_shared.jobs.split import pick

REMEMBERED_TARGETS = 65_536
"""Names that jobs ask for, by tenant where that matters; then all are looked up anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """An alias, and those of its versions that serve."""

    record: AliasRecord
    ref: AliasRef
    weights: tuple[tuple[str, float], ...]
    records: Mapping[str, AdapterRecord]


class Directory:
    """Chooses adapters."""

    def __init__(self, registry: AdapterRegistry, default: str | None) -> None:
        self.registry = registry
        self.aliases = AliasBook()
        self.rules = RuleBook()
        self.semantic = SemanticBook()
        self.default = default
        self._adder = Adder()
        self._targets: dict[tuple[str, str | None], AdapterRecord | _Split] = {}
        self._at = (-1, -1)
        self._choosable = self.may_choose(())
        self._choosable_at = (-1, -1, -1)

    @property
    def changes(self) -> int:
        """Of aliases, rules, the classifier and who may use what since the start."""
        found = self.aliases.changes + self.rules.changes + self.semantic.changes
        return found + self.registry.access_changes

    def resolve(self, asked: Asked, kept: Kept | None = None) -> Resolution:
        """The adapter of a job, with what rules add to it; `kept` is what its session has, if anything.

        Raises:
            UnknownAdapterError: what was decided on is not there for this tenant.
        """
        if asked.composition is not None:
            found = resolve_composition(asked.composition, partial(self._named, asked, kept))
        else:
            first = self._first_of(self.rules.before_meaning, asked, kept)
            found = first if first is not None else self._by_meaning(asked, kept)
        return self._added_to(found, asked, kept) if self.rules.adding else found

    def _first_of(self, stages: Sequence[Stage], asked: Asked, kept: Kept | None) -> Resolution | None:
        for stage in stages:
            found = self._at_stage(stage, asked, kept)
            if found is not None:
                return found
        return None

    def _by_meaning(self, asked: Asked, kept: Kept | None) -> Resolution:
        """What the classifier chooses, or what comes after it."""
        verdict = self.meant(asked)
        if verdict is not None and verdict.adapter is not None:
            return replace(self._led(verdict.adapter, Rule.SEMANTIC, asked, kept), verdict=verdict)
        found = self._first_of(self.rules.after_meaning, asked, kept)
        if found is None:
            return Resolution(record=None, rule=Rule.BASE, verdict=verdict)
        return found if verdict is None else replace(found, verdict=verdict)

    def meant(self, asked: Asked) -> SemanticVerdict | None:
        """What the classifier says of the prompt; None: there is none, and nothing is read."""
        if not self.semantic.is_asked:
            return None
        return self.semantic.verdict(asked, self._meanings(asked.tenant))

    def _meanings(self, tenant: str) -> frozenset[str]:
        """What the classifier may choose: what stands for something that serves, to this tenant."""
        at = (self.registry.changes, self.aliases.changes, self.semantic.changes)
        if at != self._choosable_at:
            self._choosable = self.may_choose(self.semantic.labels)
            self._choosable_at = at
        return self._choosable.to(tenant)

    def may_choose(self, labels: Iterable[str]) -> Choosable:
        """Of these names those that stand for something that serves, to each tenant."""
        return Choosable(labels, self.registry, self._stands)

    def _stands(self, spec: str, versions: Mapping[str, AdapterRecord]) -> bool:
        try:
            if spec != BASE:
                self._look_up(spec, versions)
        except UnknownAdapterError:
            return False
        return True

    def _added_to(self, chosen: Resolution, asked: Asked, kept: Kept | None) -> Resolution:
        came_from = origins(chosen, kept)
        rules = [rule for rule, on in self.rules.adding if on.issuperset(came_from) and fits(rule, asked)]
        if not rules:
            return chosen
        return self._adder.add(
            chosen,
            rules,
            self.rules.conflict,
            partial(self._named, asked, kept),
            tenant=asked.tenant,
            at=(self.registry.changes, self.aliases.changes, self.rules.changes),
        )

    def _at_stage(self, stage: Stage, asked: Asked, kept: Kept | None) -> Resolution | None:
        if stage is Stage.EXPLICIT:
            return self._led(asked.adapter, Rule.EXPLICIT, asked, kept) if asked.adapter is not None else None
        if stage is Stage.SESSION:
            return self.of_session(kept, asked) if kept is not None else None
        rule = self.rules.first(stage, asked)
        if rule is not None:
            if rule.adapter is not None:
                return self._led_by_operator(f"rule {rule.name!r}", rule.adapter, rule.label, asked, kept)
            return chosen_several(rule, self.rules.conflict, partial(self._named, asked, kept))
        if stage is Stage.DEFAULT and self.default is not None:
            return self._led_by_operator("the default", self.default, Rule.DEFAULT, asked, kept)
        return None

    def _named(self, asked: Asked, kept: Kept | None, spec: str) -> tuple[AdapterRecord, AliasRef | None]:
        """One of several."""
        target = self.target(spec, asked.tenant)
        if isinstance(target, AdapterRecord):
            return target, None
        return self._drawn(target, asked, kept), target.ref

    def _led_by_operator(
        self, what: str, spec: str, rule: str, asked: Asked, kept: Kept | None
    ) -> Resolution:
        """As `_led`, by a name that the job did not say."""
        try:
            return self._led(spec, rule, asked, kept)
        except UnknownAdapterError as error:
            raise error.named_by(what) from error

    def _led(self, spec: str, rule: str, asked: Asked, kept: Kept | None) -> Resolution:
        if spec == BASE:
            return Resolution(record=None, rule=rule)
        target = self.target(spec, asked.tenant)
        if isinstance(target, AdapterRecord):
            return Resolution(record=target, rule=rule)
        return Resolution(record=self._drawn(target, asked, kept), rule=rule, alias=target.ref)

    def of_session(self, kept: Kept, asked: Asked) -> Resolution | None:
        """What a session goes on with; None: nothing is left of it."""
        if kept.adapter is not None and kept.alias is not None:
            try:
                return self._led(kept.alias, Rule.SESSION, asked, kept)
            except UnknownAdapterError:
                pass  # the alias is gone: what it led to may be there
        name = kept.adapter.name if kept.adapter is not None else ""
        return still_there(kept, {name: self._visible(name, asked.tenant)})

    def _drawn(self, split: _Split, asked: Asked, kept: Kept | None) -> AdapterRecord:
        if asked.bound is not None or kept is not None:
            version = _bound(split.record.spec, asked, kept)
            # A share that shrank moves nobody who has begun; one that is gone moves all.
            if version in split.records and split.record.weight(version) > 0.0:
                return split.records[version]
        if len(split.weights) == 1:
            return split.records[split.weights[0][0]]
        drawn = pick(
            split.weights, split.record.experiment or split.record.spec, sticky_key(split.record, asked)
        )
        assert drawn is not None, "some weight is above zero"
        return split.records[drawn]

    # ---- what names stand for

    def check(self, spec: str) -> None:
        """Whether a name stands for anything, to any tenant.

        Raises:
            UnknownAdapterError: it does not.
        """
        if spec == BASE:
            return
        name, _ = read_spec(spec)
        self._look_up(spec, self.registry.known.get(name, {}))

    def target(self, spec: str, tenant: str) -> AdapterRecord | _Split:
        """What a name stands for to a tenant.

        Raises:
            UnknownAdapterError: nothing.
        """
        at = (self.registry.changes, self.aliases.changes)
        if at != self._at or len(self._targets) >= REMEMBERED_TARGETS:
            self._targets.clear()
            self._at = at
        restricted = spec.partition("@")[0] in self.registry.restricted
        key = (spec, tenant if restricted else None)
        found = self._targets.get(key)
        if found is None:
            found = self._targets[key] = self._look_up(spec, self._visible(spec.partition("@")[0], tenant))
        return found

    def _look_up(self, spec: str, versions: Mapping[str, AdapterRecord]) -> AdapterRecord | _Split:
        """What it stands for among the versions that may be used."""
        name, word = read_spec(spec)
        alias = word if word is not None and is_alias(word) else None
        aliases = {
            word: record
            for word, record in self.aliases.known.get(name, {}).items()
            if any(arm.version in versions for arm in record.arms)
        }
        if word is None and DEFAULT_ALIAS in aliases:
            alias = DEFAULT_ALIAS
        if alias is None:
            return find(spec, {name: versions})
        find(name, {name: versions})  # or it is as if it were not registered
        if alias not in aliases:
            have = ", ".join(sorted(aliases)) or "none"
            raise UnknownAdapterError(
                spec=spec, reason=f"adapter {name!r} has no alias {alias!r}; it has {have}"
            )
        return _split(spec, aliases[alias], versions)

    def _visible(self, name: str, tenant: str) -> Mapping[str, AdapterRecord]:
        """The versions that a tenant may use."""
        versions = self.registry.known.get(name, {})
        if name not in self.registry.restricted:
            return versions
        return {version: record for version, record in versions.items() if record.allows(tenant)}


def _split(spec: str, record: AliasRecord, versions: Mapping[str, AdapterRecord]) -> _Split:
    serving = {
        arm.version: versions[arm.version]
        for arm in record.arms
        if arm.version in versions and versions[arm.version].state is AdapterState.ACTIVE
    }
    weights = tuple(
        (arm.version, arm.weight) for arm in record.arms if arm.version in serving and arm.weight > 0
    )
    if not weights:
        raise UnknownAdapterError(
            spec=spec, reason=f"alias {record.spec!r} leads to no version that serves; promote one that does"
        )
    ref = AliasRef(name=record.spec, revision=record.revision)
    return _Split(record=record, ref=ref, weights=weights, records=serving)


def _bound(alias: str, asked: Asked, kept: Kept | None) -> str:
    """The version that an earlier attempt had through this alias, or the session has; empty: none."""
    if asked.bound is not None and alias in asked.bound:
        return asked.bound[alias]
    if kept is not None and kept.alias == alias and kept.adapter is not None:
        return kept.adapter.version
    return ""
