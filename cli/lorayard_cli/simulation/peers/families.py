"""Every emulated rule by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lorayard_cli.simulation.peers.affinity import BoundedAffinity, PlainAffinity
from lorayard_cli.simulation.peers.bounded_loads import BoundedLoads
from lorayard_cli.simulation.peers.early import early
from lorayard_cli.simulation.peers.gateway_scorers import GatewayScorers
from lorayard_cli.simulation.peers.least_request import LeastRequest
from lorayard_cli.simulation.peers.multiplex import multiplex
from lorayard_cli.simulation.peers.power_of_two import PowerOfTwo
from lorayard_cli.simulation.peers.pull import Pull, PullAffinity
from lorayard_cli.simulation.peers.random_choice import RandomChoice
from lorayard_cli.simulation.peers.replica_sets import ReplicaSets
from lorayard_cli.simulation.peers.round_robin import RoundRobin
from lorayard_cli.simulation.peers.static_home import StaticHome
from lorayard_cli.simulation.router import RouterMaker

PEERS: Final[Mapping[str, RouterMaker]] = {
    "round_robin": early(RoundRobin),
    "random": early(RandomChoice),
    "least_request": early(LeastRequest),
    "power_of_two": early(PowerOfTwo),
    "bounded_loads": early(BoundedLoads),
    "affinity": early(PlainAffinity),
    "bounded_affinity": early(BoundedAffinity),
    "gateway": early(GatewayScorers),
    "aibrix": early(StaticHome),
    "ray": multiplex,
    "dynamo": early(ReplicaSets),
    "pull": Pull,
    "pull_aff": PullAffinity,
}
