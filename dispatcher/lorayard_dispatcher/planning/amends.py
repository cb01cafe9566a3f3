"""What a worker is to be told when adapters are not where they shall be. Small rules, no state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from lorayard_dispatcher.planning.placement import Site, Target, Wish
from lorayard_schemas.order import OrderVerb


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One adapter at one worker."""

    worker: str
    epoch: int
    verb: OrderVerb
    digest: str
    because: str  # for the record

    @property
    def key(self) -> tuple[str, int, OrderVerb, str]:
        """What it is the same order by."""
        return (self.worker, self.epoch, self.verb, self.digest)


def amends(
    sites: Iterable[Site], wishes: Mapping[str, Wish], targets: Mapping[str, Target], quiet: Collection[str]
) -> Iterator[Order]:
    """Orders that would put things right, by worker. `quiet`: adapters on demand that nobody has asked for in
    a while."""
    alone = {worker: digest for digest, target in targets.items() for worker in target.merged}
    here: dict[str, set[str]] = {}
    for digest, target in targets.items():
        for worker in target.replicas:
            here.setdefault(worker, set()).add(digest)
    for site in sites:
        wanted = alone.get(site.worker)
        if not site.bound and wanted != site.dedicated:
            yield _dedication(site, wanted)
        elif site.dedicated is None:
            concerned = here.get(site.worker, set()) | (wishes.keys() & (site.resident | site.host))
            for digest in sorted(concerned):
                yield from _shared(site, wishes[digest], targets[digest], quiet)


def _dedication(site: Site, alone: str | None) -> Order:
    if alone is not None:
        return _order(site, OrderVerb.DEDICATE, alone, "it is to have workers of its own, and this is one")
    assert site.dedicated is not None, "it differs from None"
    return _order(
        site, OrderVerb.UNDEDICATE, site.dedicated, "it needs this worker no more, or others need it"
    )


def _shared(site: Site, wish: Wish, target: Target, quiet: Collection[str]) -> Iterator[Order]:
    digest, here = wish.digest, site.worker in target.replicas
    held = digest in site.resident or digest in site.host
    if target.allowed is not None and site.worker not in target.allowed:
        if held:
            yield _order(site, OrderVerb.UNLOAD, digest, "it may not be on this worker")
    elif here and wish.pin:
        if digest not in site.pinned:
            yield _order(site, OrderVerb.PIN, digest, "a pinned replica belongs here")
    elif digest in site.pinned:
        yield _order(site, OrderVerb.UNPIN, digest, "no pinned replica belongs here")
    elif here:
        if not held and digest not in site.coming:
            yield _order(site, OrderVerb.LOAD, digest, "a replica belongs here")
    elif digest in quiet and held:
        yield _order(site, OrderVerb.UNLOAD, digest, "it is kept for its jobs only, and there are none")


def _order(site: Site, verb: OrderVerb, digest: str, because: str) -> Order:
    return Order(worker=site.worker, epoch=site.epoch, verb=verb, digest=digest, because=because)
