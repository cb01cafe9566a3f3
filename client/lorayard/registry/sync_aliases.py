"""`Aliases`, blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lorayard.registry.aliases import PRELOAD_SECONDS, Aliases, SwitchReport
from lorayard.registry.calls import Calls
from lorayard_schemas.alias import AliasRecord, GuardRule, Sticky


class SyncAliases:
    """The aliases of one yard; every method raises as that of `Aliases` does."""

    def __init__(self, aliases: Aliases, thread: Callable[[], Calls]) -> None:
        self._aliases = aliases
        self._thread = thread

    def list(self) -> list[AliasRecord]:
        """Every alias as it is now, by name."""
        return self._thread().call(self._aliases.list())

    def history(self, alias: str) -> tuple[AliasRecord, ...]:
        """What an alias was and is, the newest last; empty where there never was one."""
        return self._thread().call(self._aliases.history(alias))

    def split(
        self,
        alias: str,
        weights: Mapping[str, float],
        *,
        sticky: Sticky | None = None,
        user_field: str | None = None,
        experiment: str | None = None,
        guard: GuardRule | None = None,
        preload_seconds: float | None = PRELOAD_SECONDS,
        reason: str = "",
    ) -> SwitchReport:
        """Give versions their shares of an alias's requests, percent by version; see `Aliases.split`."""
        return self._thread().call(
            self._aliases.split(
                alias,
                weights,
                sticky=sticky,
                user_field=user_field,
                experiment=experiment,
                guard=guard,
                preload_seconds=preload_seconds,
                reason=reason,
            )
        )

    def promote(
        self,
        alias: str,
        version: str | None = None,
        *,
        preload_seconds: float | None = PRELOAD_SECONDS,
        reason: str = "",
    ) -> SwitchReport:
        """Give one version of an alias all of its requests; None: the one that is tried out."""
        return self._thread().call(
            self._aliases.promote(alias, version, preload_seconds=preload_seconds, reason=reason)
        )

    def rollback(self, alias: str, *, to: int | None = None, reason: str = "") -> AliasRecord:
        """Return to a revision, at once; None: the last one that its guard has not stopped."""
        return self._thread().call(self._aliases.rollback(alias, to=to, reason=reason))

    def unalias(self, alias: str, *, reason: str = "") -> None:
        """Take an alias away; its history is kept, and a rollback brings it back."""
        self._thread().call(self._aliases.unalias(alias, reason=reason))
