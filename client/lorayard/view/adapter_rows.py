"""The adapters of a snapshot: where each is, what waits for it, what leads to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from lorayard.view.yard_state import YardState
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import DEFAULT_ALIAS, AliasRecord
from lorayard_schemas.names import is_alias, split_version, version_order
from lorayard_schemas.snapshot import AdapterRow
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.value import value


def adapter_rows(state: YardState) -> list[AdapterRow]:
    """What serves first, then by name and version."""
    shares = _shares(state.aliases)
    waiting = waiting_for(state.depth.jobs, state.adapters, shares)
    where = _Where.of(state)
    struck = {one.adapter: one.why for one in state.strikes if one.adapter is not None and one.tenant is None}
    placed = {one.adapter for one in state.placements if not one.asks_nothing}
    pinned = _pinned(state, shares)
    rows = [
        AdapterRow(
            name=record.name,
            version=record.version,
            digest=record.digest,
            state=record.state.value,
            rank=record.rank,
            size_bytes=record.size_bytes,
            waiting=waiting.get(record.label, 0),
            slots=tuple(where.slots.get(record.digest, ())),
            host=where.host.get(record.digest, 0),
            loading=where.loading.get(record.digest, 0),
            aliases=shares.get(record.name, {}).get(record.version, {}),
            struck=struck.get(record.label) or struck.get(record.name, ""),
            pinned=record.label in pinned,
            placed=record.label in placed or record.name in placed,
            refused_by=tuple(where.refused.get((record.name, record.version), ())),
            traffic=state.traffic.get(record.label),
        )
        for record in state.adapters
    ]
    return sorted(rows, key=_place)


def waiting_for(
    jobs: Mapping[JobAddress, int], records: Iterable[AdapterRecord], shares: Mapping[str, _Shares]
) -> Counter[str]:
    """Unfinished jobs by the `name@version` that answers them; of an alias with several the largest share."""
    newest = _newest(records)
    found: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for address, count in jobs.items():
        if address.adapter is not None:
            named[address.adapter] += count
    for spec, count in named.items():
        name, word = split_version(spec)
        if word is None or is_alias(word):
            led = _led(shares.get(name, {}), word or DEFAULT_ALIAS)
            version = led if led is not None or word is not None else newest.get(name)
        else:
            version = word
        if version is not None:
            found[f"{name}@{version}"] += count
    return found


def _pinned(state: YardState, shares: Mapping[str, _Shares]) -> frozenset[str]:
    """Versions, as `name@version`, that are to stay in a slot: a declaration of their own counts before that
    of their name, which means those that have a share of `stable`, or the newest where there is none."""
    declared = {one.adapter: one for one in state.placements}
    if not declared:
        return frozenset()
    newest = _newest(state.adapters)
    found: set[str] = set()
    for record in state.adapters:
        one = declared.get(record.label)
        if one is None and record.state is AdapterState.ACTIVE:
            of_name = shares.get(record.name, {})
            stable = {version for version, aliases in of_name.items() if DEFAULT_ALIAS in aliases}
            if (record.version in stable) if stable else (newest.get(record.name) == record.version):
                one = declared.get(record.name)
        if one is not None and one.pin:
            found.add(record.label)
    return frozenset(found)


_Shares = dict[str, dict[str, float]]
"""Version -> alias -> percentage."""


@value
class _Where:
    """What workers that live say of adapters, by digest."""

    slots: dict[str, list[str]]
    host: Counter[str]
    loading: Counter[str]
    refused: dict[tuple[str, str], list[str]]
    """By name and version."""

    @classmethod
    def of(cls, state: YardState) -> _Where:
        found = cls(slots=defaultdict(list), host=Counter(), loading=Counter(), refused=defaultdict(list))
        for worker in state.workers:
            advert = worker.advert
            if advert is None or worker.lost(state.now):
                continue
            for slot in advert.slots:
                found.slots[slot.digest].append(worker.name)
            found.host.update(advert.host)
            found.loading.update(advert.loading)
            for refused in advert.refused_adapters:
                found.refused[refused.name, refused.version].append(worker.name)
        return found


def _shares(aliases: Iterable[AliasRecord]) -> dict[str, _Shares]:
    """By name."""
    found: dict[str, _Shares] = {}
    for record in aliases:
        for arm in record.arms:
            if arm.weight > 0:
                found.setdefault(record.adapter, {}).setdefault(arm.version, {})[record.alias] = arm.weight
    return found


def _led(shares: _Shares, alias: str) -> str | None:
    """The version that has the largest part of an alias; None: there is no such alias."""
    weights = {version: of[alias] for version, of in shares.items() if alias in of}
    return max(weights, key=lambda version: (weights[version], version), default=None)


def _newest(records: Iterable[AdapterRecord]) -> dict[str, str]:
    """Name -> its newest version that serves."""
    found: dict[str, str] = {}
    for record in records:
        if record.state is AdapterState.ACTIVE:
            was = found.get(record.name)
            if was is None or version_order(was) < version_order(record.version):
                found[record.name] = record.version
    return found


def _place(row: AdapterRow) -> tuple[bool, str, Sequence[tuple[int, int | str]]]:
    return row.state != AdapterState.ACTIVE, row.name, version_order(row.version)
