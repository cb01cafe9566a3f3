"""What a router knows that binds a job as soon as it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.router import Setup, Sight
from lorayard_dispatcher.planning.values import BASE_GROUP


class Board:
    """Its own hand-overs, exact, and what the workers have reported, as old as it is."""

    def __init__(self, setup: Setup, number: int = 0) -> None:
        self.cluster: Cluster = setup.cluster
        self.workers: Sequence[str] = setup.cluster.names
        self.random = Random(f"{setup.seed} {number}")
        """Its own generator: what one router draws changes no other's run."""
        self.own: dict[str, int] = dict.fromkeys(self.workers, 0)
        """Jobs in flight by worker, handed over from here."""
        self.sights: Mapping[str, Sight] = {}
        self._groups: dict[str, Counter[str]] = {name: Counter() for name in self.workers}

    def give(self, group: str, worker: str) -> None:
        """Count a hand-over."""
        self.own[worker] += 1
        self._groups[worker][group] += 1

    def end(self, group: str, worker: str) -> None:
        """Count a job that is answered."""
        self.own[worker] -= 1
        self._groups[worker][group] -= 1

    def holders(self, group: str) -> list[str]:
        """Workers with the adapter in a slot or on its way there, as reported or by jobs given from here."""
        if group == BASE_GROUP:
            return list(self.workers)
        return [
            name
            for name in self.workers
            if self._groups[name][group]
            or ((sight := self.sights.get(name)) and (group in sight.view.resident or group in sight.active))
        ]

    def least(self, names: Sequence[str]) -> str:
        """Of these the one with the fewest own jobs in flight; ties at random."""
        fewest = min(self.own[name] for name in names)
        return self.random.choice([name for name in names if self.own[name] == fewest])

    def is_light(self, name: str, bound: float) -> bool:
        """Whether it has at most `bound` times the mean of own jobs, this one counted."""
        total = sum(self.own.values())
        return total == 0 or self.own[name] <= bound * (total + 1) / len(self.workers)
