"""Every router that a trial can be run with, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lorayard_cli.simulation.ours import PlannerRouter
from lorayard_cli.simulation.peers.families import PEERS
from lorayard_cli.simulation.router import RouterMaker

ROUTERS: Final[Mapping[str, RouterMaker]] = {"ours": PlannerRouter, **PEERS}
