"""The models of a yard as one tenant may see them, kept up by watches of the registry's buckets."""

from __future__ import annotations

from lorayard.openai_shapes.model_name import CHOOSE
from lorayard_gateway.models import AliasFacts, ModelCard, ModelFacts, VersionFacts
from lorayard_schemas.adapter import AdapterRecord, AdapterState, decode_record
from lorayard_schemas.alias import AliasRecord, alias_key
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.names import BASE, split_version, version_order
from lorayard_shared.jobs.watched import read_under


class Catalogue:
    """What serves now. A version that a tenant may not use does not exist for it."""

    def __init__(self) -> None:
        self._versions: dict[str, dict[str, AdapterRecord]] = {}
        """By adapter, then by bucket key."""
        self._names: dict[str, str] = {}
        """Bucket key -> adapter."""
        self._aliases: dict[str, AliasRecord] = {}

    def on_adapter(self, key: str, value: bytes | None) -> None:
        """Take one change of the bucket of adapters; what cannot be read is not shown."""
        before = self._names.pop(key, None)
        if before is not None:
            del self._versions[before][key]
        if value is None:
            return
        try:
            record = decode_record(key, value)
        except MalformedMessageError:
            return
        self._names[key] = record.name
        self._versions.setdefault(record.name, {})[key] = record

    def on_alias(self, key: str, value: bytes | None) -> None:
        """Take one change of the bucket of aliases."""
        record = None
        if value is not None:
            record = read_under(key, value, AliasRecord, lambda one: alias_key(one.adapter, one.alias))
        if record is None or not record.arms:
            self._aliases.pop(key, None)
        else:
            self._aliases[key] = record

    def all(self, tenant: str) -> list[ModelCard]:
        """The base model, what the yard chooses, and every adapter and alias that serves this tenant."""
        cards = [_plain(BASE, "base"), _plain(CHOOSE, "choose")]
        for name in sorted(self._versions):
            if versions := self._serving(name, tenant):
                aliases = self._aliases_of(name, versions)
                cards.append(_card(name, name, "adapter", versions, aliases))
                cards += [_card(f"{name}@{one.alias}", name, "alias", versions, [one]) for one in aliases]
        return cards

    def find(self, model: str, tenant: str) -> ModelCard | None:
        """One of them, or one version (`name@version`)."""
        if model == BASE:
            return _plain(BASE, "base")
        if model == CHOOSE:
            return _plain(CHOOSE, "choose")
        name, word = split_version(model)
        versions = self._serving(name, tenant)
        if not versions:
            return None
        aliases = self._aliases_of(name, versions)
        if word is None:
            return _card(name, name, "adapter", versions, aliases)
        exact = [record for record in versions if record.version == word]
        if exact:
            return _card(model, name, "version", exact, [])
        named = [alias for alias in aliases if alias.alias == word]
        return _card(model, name, "alias", versions, named) if named else None

    def versions(self, name: str, tenant: str | None = None) -> list[AdapterRecord]:
        """An adapter's versions in whatever state, the newest first; those that a tenant may use."""
        found = [
            record
            for record in self._versions.get(name, {}).values()
            if tenant is None or record.allows(tenant)
        ]
        return sorted(found, key=lambda record: version_order(record.version), reverse=True)

    def usable(self, tenant: str) -> frozenset[str]:
        """Every version that a tenant may use, in whatever state, as `name@version`."""
        of_all = (record for versions in self._versions.values() for record in versions.values())
        return frozenset(record.label for record in of_all if record.allows(tenant))

    def aliases(self, name: str) -> list[AliasRecord]:
        """An adapter's aliases, by their words."""
        found = (one for one in self._aliases.values() if one.adapter == name)
        return sorted(found, key=lambda one: one.alias)

    def _serving(self, name: str, tenant: str) -> list[AdapterRecord]:
        """The newest first."""
        found = [
            record
            for record in self._versions.get(name, {}).values()
            if record.state is AdapterState.ACTIVE and record.allows(tenant)
        ]
        return sorted(found, key=lambda record: version_order(record.version), reverse=True)

    def _aliases_of(self, name: str, versions: list[AdapterRecord]) -> list[AliasFacts]:
        there = {record.version for record in versions}
        found: list[AliasFacts] = []
        for alias in sorted(self._aliases.values(), key=lambda one: one.alias):
            shares = {arm.version: arm.weight for arm in alias.arms if arm.version in there and arm.weight}
            if alias.adapter == name and shares:
                found.append(AliasFacts(alias=alias.alias, shares=shares))
        return found


def _plain(model: str, kind: str) -> ModelCard:
    facts = ModelFacts(kind="base" if kind == "base" else "choose")
    return ModelCard(id=model, created=0, owned_by="lorayard", lorayard=facts)


def _card(
    model: str, name: str, kind: str, versions: list[AdapterRecord], aliases: list[AliasFacts]
) -> ModelCard:
    if kind == "alias":
        versions = [record for record in versions if record.version in aliases[0].shares]
    facts = ModelFacts.model_validate(
        {"kind": kind, "versions": [_facts(record) for record in versions], "aliases": aliases}
    )
    return ModelCard(
        id=model,
        created=int(max(record.registered_at for record in versions)),
        owned_by=name.partition("/")[0],
        root=name if model != name else None,
        parent=BASE,
        lorayard=facts,
    )


def _facts(record: AdapterRecord) -> VersionFacts:
    return VersionFacts(
        version=record.version,
        digest=record.digest,
        kind=record.kind,
        rank=record.rank,
        size_bytes=record.size_bytes,
        labels=record.labels,
        registered_at=record.registered_at,
    )
