"""Tenants whose jobs nobody can serve now: the shares of the others are counted without them.

As the least served one such a tenant would hold the floor, all others would be past their share for good, and
what is left to those goes to the oldest job.
"""

from __future__ import annotations

from lorayard_dispatcher.planning.making import Books

MOST_LOOKS = 64
"""Tenants set aside at one look: a look has to be short."""


def set_aside_unservable(books: Books) -> None:
    """Bring back whom somebody can serve by now, then set aside the least served that nobody can."""
    shares = books.shares
    if not len(books.desks):
        return  # nobody is served, so nobody gets ahead
    if books.served_changes != books.desks.served_changes:
        books.served_changes = books.desks.served_changes
        for tenant in sorted(shares.aside):
            bring_back_if_servable(books, tenant)
    for _ in range(MOST_LOOKS):
        least = shares.least_served
        if least is None or _can_be_served(books, least):
            return
        shares.set_aside(least)


def bring_back_if_servable(books: Books, tenant: str) -> None:
    """One that is set aside has a job more, or workers have changed."""
    if _can_be_served(books, tenant):
        books.shares.bring_back(tenant)


def _can_be_served(books: Books, tenant: str) -> bool:
    base_of = books.policy.base_of
    return any(books.desks.can_serve(group, base_of.get(group)) for group in books.backlog.waiting_of[tenant])
