"""All limits of a yard at work, kept up by a bucket watch, and which of them a job has to pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lorayard_dispatcher.limiting.gate import Gate
from lorayard_schemas.limit import EACH_TENANT, LIMITS, Limits, limits_key
from lorayard_shared.jobs.watched import read_under

REMEMBERED = 65_536
"""Pairs of tenant and adapters whose gates were looked up; then all are looked up anew."""

Whose = tuple[str | None, str | None]


class Gates:
    """By tenant and adapter."""

    def __init__(self) -> None:
        self._records: dict[Whose, Limits] = {}
        self._whose: dict[str, Whose] = {}
        """Of the same, by their bucket keys."""
        self._gates: dict[Whose, Gate] = {}
        self._found: dict[tuple[str, tuple[str, ...]], tuple[Gate, ...]] = {}
        self._found_of_one: dict[tuple[str, str], tuple[Gate, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._records)

    def __iter__(self) -> Iterator[Gate]:
        return iter(self._gates.values())

    @property
    def of_each_tenant(self) -> bool:
        """Whether some hold for tenants that nobody has named."""
        return any(tenant == EACH_TENANT for tenant, _ in self._records)

    def get(self, tenant: str | None, adapter: str | None) -> Gate | None:
        """One of them, if it is at work."""
        return self._gates.get((tenant, adapter))

    def on_change(self, key: str, value: bytes | None, now: float) -> bool:
        """Take one change of the bucket; whether anything else is limited now.

        One that cannot be read leaves what there was: nobody may be let in by a mistake.
        """
        if not key.startswith(LIMITS):
            return False
        found = read_under(key, value, Limits, _key) if value is not None else None
        before = self._whose.get(key)
        if found is None and (value is not None or before is None):
            return False
        self._forget_found()
        if found is None:
            assert before is not None, "looked at above"
            del self._records[before], self._whose[key]
            self._follow(before, now)
        else:
            whose = (found.tenant, found.adapter)
            self._records[whose] = found
            self._whose[key] = whose
            self._follow(whose, now)
        return True

    def of_one(self, tenant: str, adapter: str, now: float) -> tuple[Gate, ...]:
        """The same as `find` of one adapter."""
        known = self._found_of_one.get((tenant, adapter))
        if known is not None:
            return known
        gates = self.find(tenant, (adapter,), now)
        if len(self._found_of_one) >= REMEMBERED:
            self._found_of_one.clear()
        self._found_of_one[tenant, adapter] = gates
        return gates

    def find(self, tenant: str, adapters: tuple[str, ...], now: float) -> tuple[Gate, ...]:
        """Those that a tenant's job of these adapters has to pass; without any it passes."""
        known = self._found.get((tenant, adapters))
        if known is not None:
            return known
        whose: Iterable[Whose] = (
            (tenant, None),
            *((None, adapter) for adapter in adapters),
            *((tenant, adapter) for adapter in adapters),
        )
        gates = tuple(gate for one in whose if (gate := self._gate(one, now)) is not None)
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[tenant, adapters] = gates
        return gates

    def forget_idle(self, now: float) -> None:
        """Those of each tenant by itself that nothing is known of which would not be found again."""
        idle = [
            whose for whose, gate in self._gates.items() if whose not in self._records and gate.is_idle(now)
        ]
        for whose in idle:
            del self._gates[whose]
        if idle:
            self._forget_found()

    def _forget_found(self) -> None:
        self._found.clear()
        self._found_of_one.clear()

    def _gate(self, whose: Whose, now: float) -> Gate | None:
        gate = self._gates.get(whose)
        if gate is None and (record := self._record(whose)) is not None:
            gate = self._gates[whose] = Gate(record, now, tenant=whose[0])
        return gate

    def _record(self, whose: Whose) -> Limits | None:
        found = self._records.get(whose)
        if found is None and whose[0] is not None:
            found = self._records.get((EACH_TENANT, whose[1]))
        return found

    def _follow(self, changed: Whose, now: float) -> None:
        """Gates that are at work go by what is declared now; that of a record alone begins.

        Only gates of the changed record can differ: with thousands of records, each is heard of one by one.
        """
        tenant, adapter = changed
        each = tenant == EACH_TENANT
        concerned = [whose for whose in self._gates if whose[1] == adapter] if each else [changed]
        for whose in concerned:
            gate, record = self._gates.get(whose), self._record(whose)
            if gate is None:
                self._gate(whose, now)
            elif record is None:
                del self._gates[whose]
            elif record != gate.record:
                gate.change(record, now)


def _key(record: Limits) -> str:
    return limits_key(record.tenant, record.adapter)
