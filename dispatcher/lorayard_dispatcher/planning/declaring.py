"""Whether a declaration can be held, by the workers that live now; refused with the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorayard_dispatcher.planning.placement import LEFT_SLOTS, Site, Target, Wish, matches, place
from lorayard_dispatcher.planning.rankings import Rankings
from lorayard_schemas.placement import AdapterTier

MOST_NAMED = 8
"""Workers in one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What of a declaration cannot be held, and why."""

    field: str
    reason: str


def contradiction(wish: Wish) -> Refusal | None:
    """What no fleet could hold."""
    if wish.most is not None and wish.least > wish.most:
        return Refusal(field="replicas", reason=f"at least {wish.least} and at most {wish.most} replicas")
    if wish.only and not wish.on:
        return Refusal(field="only", reason="name the workers: on nothing else than which?")
    if wish.tier is AdapterTier.MERGED and wish.pin:
        return Refusal(field="pin", reason="a merged adapter is in the weights and needs no slot; unpin it")
    if wish.tier is AdapterTier.ON_DEMAND and (wish.pin or wish.least):
        field = "pin" if wish.pin else "replicas"
        reason = f"on demand nothing is kept; use tier {AdapterTier.SHARED} to keep replicas"
        return Refusal(field=field, reason=reason)
    return None


def refusal(
    digest: str,
    sites: Sequence[Site],
    before: Mapping[str, Wish],
    after: Mapping[str, Wish],
    rankings: Rankings | None = None,
) -> Refusal | None:
    """Why the wishes `after` the declaration of one adapter cannot be held, as those `before` could.
    `rankings` of an earlier question save most of the work.

    With no worker of its base model alive there is nothing to compare with, and nothing is refused.
    """
    wish = after[digest]
    if (found := contradiction(wish)) is not None:
        return found
    sites = [site for site in sites if wish.base_digest in (None, site.base_digest)]
    if not sites:
        return None
    rankings = rankings or Rankings()
    then, now = (place(sites, wishes.values(), rankings) for wishes in (before, after))
    if now[digest].short_merged:
        return _merged(wish, now[digest], sites)
    if wish.pin and now[digest].short:
        return Refusal(field="pin", reason=_pins(wish, now[digest], sites, now, after))
    for other, target in now.items():
        if after[other].pin and target.short > (then[other].short if other in then else 0):
            reason = f"{other} could not be held any more: {_pins(after[other], target, sites, now, after)}"
            return Refusal(field="tier" if wish.merged else "pin", reason=reason)
    return None


def warnings(
    digest: str, sites: Sequence[Site], after: Mapping[str, Wish], rankings: Rankings | None = None
) -> list[str]:
    """What is worth a word, and no reason to refuse."""
    wish, found = after[digest], list[str]()
    able = [site for site in sites if wish.base_digest in (None, site.base_digest)]
    if not able:
        found.append("no worker with its base model is alive, so nothing was compared with their slots")
    for mark in sorted(wish.on):
        if not any(matches(site, frozenset({mark})) for site in sites):
            found.append(f"no live worker is {mark!r}; it counts once there is one")
    short = place(able, after.values(), rankings)[digest].short if able else 0
    if short and not wish.pin and not wish.merged:
        found.append(f"{wish.replicas} replicas are wanted, and {wish.replicas - short} can be had now")
    return found


def _merged(wish: Wish, target: Target, sites: Sequence[Site]) -> Refusal:
    named = [site for site in sites if not wish.on or matches(site, wish.on)]
    reason = (
        f"it is to have {_workers(wish.merged)} for itself, and can have {len(target.merged)}: "
        f"{_workers(len(sites))} of its base model live, {len(named)} that it may be on, and one is left to "
        "everybody else"
    )
    return Refusal(field="tier" if wish.least < 2 else "replicas", reason=reason)


def _pins(
    wish: Wish,
    target: Target,
    sites: Sequence[Site],
    targets: Mapping[str, Target],
    wishes: Mapping[str, Wish],
) -> str:
    held = {site.worker: 0 for site in sites}
    for digest, other in targets.items():
        if wishes[digest].pin:
            for worker in other.replicas:
                held[worker] = held.get(worker, 0) + 1
    named = [site for site in sites if not wish.on or matches(site, wish.on)]
    shown = ", ".join(
        f"{site.worker} holds {held[site.worker]} of {_pin_slots(site)}" for site in named[:MOST_NAMED]
    )
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return (
        f"{wish.replicas} pinned {'replica is' if wish.replicas == 1 else 'replicas are'} wanted, and "
        f"{wish.replicas - target.short} can be held; of each worker {LEFT_SLOTS} slot is left to others: "
        f"{shown or 'no worker that it may be on'}{more}"
    )


def _pin_slots(site: Site) -> int:
    return 0 if site.dedicated is not None else max(0, site.slots - LEFT_SLOTS)


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
