"""Which partial summaries are combined, in which order: a tree, whatever order they are ready in.

A node of level 1 and above combines `fan_in` neighbours of the level below, so the tree hangs on the number
of leaves alone, and the same document gives the same tree however its jobs were run.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Of a partial summary in the tree: leaves are of level 0."""

    level: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Partial summaries that are all there, to be combined into the one at `place`."""

    place: Place
    texts: tuple[str, ...]
    is_root: bool


class Fold:
    """One document's tree, as far as it is known. Holds no text longer than it takes its group to be full."""

    def __init__(self, fan_in: int) -> None:
        if fan_in < 2:
            raise ValueError(f"at least two are combined, got {fan_in}")
        self._fan_in = fan_in
        self._leaves = 0
        self._ended = False
        self._waiting: dict[Place, dict[int, str]] = {}

    def add_leaf(self) -> Place:
        """There is one more chunk."""
        self._leaves += 1
        return Place(level=0, index=self._leaves - 1)

    def end(self) -> None:
        """There are no more chunks."""
        self._ended = True

    def put(self, place: Place, text: str) -> None:
        """A partial summary is ready."""
        parent = Place(level=place.level + 1, index=place.index // self._fan_in)
        self._waiting.setdefault(parent, {})[place.index] = text

    def ready(self) -> list[Group]:
        """Groups that can be combined now; each is given once."""
        groups: list[Group] = []
        while found := [place for place in self._waiting if self._is_ready(place)]:
            for place in found:
                children = self._waiting.pop(place)
                texts = tuple(children[index] for index in sorted(children))
                if len(texts) == 1:
                    self.put(place, texts[0])  # the last one of its level: nothing to combine it with
                else:
                    groups.append(Group(place=place, texts=texts, is_root=self._is_root(place)))
        return groups

    def _is_ready(self, place: Place) -> bool:
        have = len(self._waiting[place])
        if self._ended:
            below = self._size(place.level - 1)
            return have == min(self._fan_in, below - place.index * self._fan_in)
        # The first of its level may be the last one of all: its prompt hangs on that.
        covered: int = self._fan_in**place.level
        return have == self._fan_in and (place.index > 0 or self._leaves > covered)

    def _is_root(self, place: Place) -> bool:
        return self._ended and self._size(place.level) == 1

    def _size(self, level: int) -> int:
        width: int = self._fan_in**level
        return -(-self._leaves // width)
