"""Who may start, and which slot drains for whom. Pure.

A request whose adapter can get no slot is skipped, not waited for; so it could be skipped for ever while
others keep all slots busy. Past an age it makes the least used slot drain: nobody new may use that one,
its rows end within their token limits, and then the slot is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def plan_drains(aged: Iterable[str], rows: Mapping[str, int], previous: Mapping[str, str]) -> dict[str, str]:
    """Wanted adapter -> resident that drains for it.

    `aged`: non-resident adapters wanted for too long, longest first; `rows`: residents that may leave
    and the rows that use each. A choice once made is kept, so that two residents cannot take turns in
    draining and refilling.
    """
    wanted = list(dict.fromkeys(aged))
    drains = {want: previous[want] for want in wanted if previous.get(want) in rows}
    for want in wanted:
        free = [digest for digest in rows if digest not in drains.values()]
        if want not in drains and free:
            drains[want] = min(free, key=lambda digest: (rows[digest], digest))
    return drains


def prefill_shares(missing: Iterable[int], budget: int) -> list[int]:
    """How many prompt tokens each row may add this step, the longest started first."""
    shares: list[int] = []
    for tokens in missing:
        share = min(tokens, budget)
        shares.append(share)
        budget -= share
    return shares
