"""Sorted lists of names, alone or by key: small, looked at often, and changed a name at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable


def move(names: list[str], name: str, *, into: bool) -> None:
    """Put a name into a sorted list that lacks it, or take it out of one that has it."""
    at = bisect_left(names, name)
    if into:
        names.insert(at, name)
    else:
        del names[at]


def enter(index: dict[str, list[str]], key: str, name: str) -> None:
    """Put a name into a key's list; one that is there stays."""
    names = index.setdefault(key, [])
    at = bisect_left(names, name)
    if at == len(names) or names[at] != name:
        names.insert(at, name)


def leave(index: dict[str, list[str]], key: str, name: str) -> None:
    """Take a name out of a key's list, if it is there; an empty list goes with it."""
    names = index.get(key)
    if names is None:
        return
    at = bisect_left(names, name)
    if at < len(names) and names[at] == name:
        del names[at]
        if not names:
            del index[key]


def enter_all(index: dict[str, list[str]], keys: Iterable[str], name: str) -> None:
    """`enter` for several keys. Written out: with every job it is a dozen, and a call each is half of it."""
    for key in keys:
        names = index.get(key)
        if names is None:
            index[key] = [name]
            continue
        at = bisect_left(names, name)
        if at == len(names) or names[at] != name:
            names.insert(at, name)


def leave_all(index: dict[str, list[str]], keys: Iterable[str], name: str) -> None:
    """`leave` for several keys, as `enter_all` does."""
    for key in keys:
        names = index.get(key)
        if names is None:
            continue
        at = bisect_left(names, name)
        if at < len(names) and names[at] == name:
            del names[at]
            if not names:
                del index[key]
