"""All boards, in the order in which somebody opens them."""

from __future__ import annotations

from lorayard_cli.monitoring.boards.adapters import ADAPTER_BOARD
from lorayard_cli.monitoring.boards.engines import ENGINE_BOARD
from lorayard_cli.monitoring.boards.yard import YARD_BOARD

BOARDS = (YARD_BOARD, ADAPTER_BOARD, ENGINE_BOARD)
