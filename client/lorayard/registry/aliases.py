"""`client.aliases`: words for versions of one adapter, and who of its users gets which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorayard.answering import Answering
from lorayard.errors import InvalidRequestError, NotPreloadedError
from lorayard.registry.known import read_registry
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord, GuardRule, Sticky
from lorayard_schemas.names import check_adapter_spec, is_alias, split_version
from lorayard_shared.registry.alias_changes import SplitWish, Versions, check_targets, to_promote
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.preload import preload

if TYPE_CHECKING:
    from lorayard.link import Link
    from lorayard_shared.bus.connection import Bus

PRELOAD_SECONDS = 60.0
"""An adapter of 1 GiB over a bus of 1 Gbit/s comes in ten, and a dozen may be wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchReport:
    """What a split or a promotion did."""

    record: AliasRecord
    """The alias as it is now."""
    warnings: tuple[str, ...]
    """Workers that do not have a version at hand, each with why; another one has it."""


class Aliases:
    """The aliases of one yard; each change is one compare-and-set, kept with who made it and why.

    Every method raises YardNotReadyError or BusUnavailableError where there is no yard, or no bus; those
    that are given an alias raise InvalidRequestError where it is not `name@alias`.
    """

    def __init__(self, link: Callable[[], Link]) -> None:
        self._open_link = link

    async def list(self) -> list[AliasRecord]:
        """Every alias as it is now, by name."""
        link = self._open_link()
        async with Answering(link):
            return await AliasStore(link.bus).list()

    async def history(self, alias: str) -> tuple[AliasRecord, ...]:
        """What an alias was and is, the last 16, the newest last; empty where there never was one."""
        adapter, word = read_alias(alias)
        link = self._open_link()
        async with Answering(link):
            return await AliasStore(link.bus).past(adapter, word)

    async def split(
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
        """Give versions their shares of an alias's requests, also of an alias that is new.

        `weights` are percent by version, together 100. What is None of `sticky`, `user_field` and
        `experiment` stays as it was; without `guard` nobody looks whether a version is worse. The versions
        are loaded first by the workers that serve the alias, for `preload_seconds` at most; None: they are
        not.

        Raises:
            AliasRefusedError: a version does not serve, or the shares are none; nothing was changed.
            NotPreloadedError: no worker has one of them at hand in time; nothing was changed.
            ContendedError: others changed it every time that this was tried.
        """
        adapter, word = read_alias(alias)
        shares = tuple(weights.items())
        wish = SplitWish(
            adapter=adapter,
            alias=word,
            weights=shares,
            sticky=sticky,
            user_field=user_field,
            experiment=experiment,
            guard=guard,
        )
        link = self._open_link()
        async with Answering(link):
            store, versions = AliasStore(link.bus), await _versions(link.bus, adapter)
            wanted = [version for version, weight in shares if weight > 0]
            check_targets(adapter, wanted, versions)
            past = await store.past(adapter, word)
            warnings = await _preload(link.bus, wanted, past, versions, preload_seconds)
            made = await store.split(wish, versions, link.author(reason))
        return SwitchReport(record=made, warnings=warnings)

    async def promote(
        self,
        alias: str,
        version: str | None = None,
        *,
        preload_seconds: float | None = PRELOAD_SECONDS,
        reason: str = "",
    ) -> SwitchReport:
        """Give one version of an alias all of its requests; None: the one that is tried out.

        Raises:
            AliasRefusedError: there is no such alias, the version does not serve, or it is not clear which
                is meant; nothing was changed.
            NotPreloadedError: as in `split`.
            ContendedError: others changed it every time that this was tried.
        """
        adapter, word = read_alias(alias)
        link = self._open_link()
        async with Answering(link):
            store, versions = AliasStore(link.bus), await _versions(link.bus, adapter)
            past = await store.past(adapter, word)
            # Named from here on: what others make of the alias meanwhile does not change what was loaded.
            chosen = to_promote(past[-1] if past else None, alias, version)
            check_targets(adapter, [chosen], versions)
            warnings = await _preload(link.bus, [chosen], past, versions, preload_seconds)
            made = await store.promote(adapter, word, chosen, versions, link.author(reason))
        return SwitchReport(record=made, warnings=warnings)

    async def rollback(self, alias: str, *, to: int | None = None, reason: str = "") -> AliasRecord:
        """Return to a revision, at once; None: the last one before this that its guard has not stopped.

        Raises:
            AliasRefusedError: there is no such revision, or what it leads to does not serve.
            ContendedError: others changed it every time that this was tried.
        """
        adapter, word = read_alias(alias)
        link = self._open_link()
        async with Answering(link):
            versions = await _versions(link.bus, adapter)
            return await AliasStore(link.bus).roll_back(adapter, word, to, versions, link.author(reason))

    async def unalias(self, alias: str, *, reason: str = "") -> None:
        """Take an alias away; its history is kept, and a rollback brings it back.

        Raises:
            AliasRefusedError: there is none.
            ContendedError: others changed it every time that this was tried.
        """
        adapter, word = read_alias(alias)
        link = self._open_link()
        async with Answering(link):
            await AliasStore(link.bus).retire(adapter, word, link.author(reason))


def read_alias(text: str) -> tuple[str, str]:
    """An adapter's name and the word.

    Raises:
        InvalidRequestError: it is not `name@alias`.
    """
    try:
        name, word = split_version(check_adapter_spec(text))
    except ValueError as error:
        raise InvalidRequestError(field="alias", reason=str(error)) from error
    if word is None or not is_alias(word):
        reason = (
            f"{text!r} is no alias: write {{org}}/{{model-family}}/{{task}}@word, lower-case letters and - "
            "inside; what has a digit is a version"
        )
        raise InvalidRequestError(field="alias", reason=reason)
    return name, word


async def _versions(bus: Bus, adapter: str) -> dict[str, AdapterRecord]:
    return (await read_registry(bus)).known.get(adapter, {})


async def _preload(
    bus: Bus, wanted: Sequence[str], past: Sequence[AliasRecord], versions: Versions, seconds: float | None
) -> tuple[str, ...]:
    """Load before the switch; returns what went wrong where another worker has it.

    Raises:
        NotPreloadedError: no worker has one of them.
    """
    if seconds is None:
        return ()
    arms = past[-1].arms if past else ()
    serving = {versions[arm.version].digest for arm in arms if arm.weight > 0 and arm.version in versions}
    done = await preload(bus, [versions[version] for version in wanted], serving, seconds)
    if missing := done.missing():
        raise NotPreloadedError(labels=missing, trouble=done.trouble)
    return done.trouble
