"""`Rules`, blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lorayard.registry.calls import Calls
from lorayard.registry.rules import Rules
from lorayard.registry.sync_classifiers import SyncClassifiers
from lorayard_schemas.routes import RouteTable
from lorayard_shared.jobs.tracing import Trace


class SyncRules:
    """The rules of one yard; every method raises as that of `Rules` does."""

    def __init__(self, rules: Rules, thread: Callable[[], Calls]) -> None:
        self._rules = rules
        self._thread = thread

    @property
    def classifier(self) -> SyncClassifiers:
        """What chooses by what a prompt means: `yard.rules.classifier.put("./classifier")`."""
        return SyncClassifiers(self._rules.classifier, self._thread)

    def set(
        self,
        rules: RouteTable | Path | str,
        *,
        check: bool = True,
        allow_empty: bool = False,
        reason: str = "",
    ) -> RouteTable:
        """Put rules into force: a table, a TOML file, or its text; see `Rules.set`."""
        return self._thread().call(
            self._rules.set(rules, check=check, allow_empty=allow_empty, reason=reason)
        )

    def get(self) -> RouteTable:
        """The rules in force; an empty table where there never were any."""
        return self._thread().call(self._rules.get())

    def history(self) -> tuple[RouteTable, ...]:
        """What the rules were and are, the newest last."""
        return self._thread().call(self._rules.history())

    def rollback(self, *, to: int | None = None, reason: str = "") -> RouteTable:
        """Return to a revision; None: the one before this, past returns."""
        return self._thread().call(self._rules.rollback(to=to, reason=reason))

    def test(
        self,
        *,
        adapter: str | None = None,
        tenant: str | None = None,
        task: str | None = None,
        session: str | None = None,
        metadata: Mapping[str, str] | None = None,
        job: str = "-",
        prompt: str | None = None,
    ) -> Trace:
        """What would decide on a request, and why what comes before it would not; see `Rules.test`."""
        return self._thread().call(
            self._rules.test(
                adapter=adapter,
                tenant=tenant,
                task=task,
                session=session,
                metadata=metadata,
                job=job,
                prompt=prompt,
            )
        )
