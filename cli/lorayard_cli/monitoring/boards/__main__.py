"""Write the boards into a folder: `python -m lorayard_cli.monitoring.boards deploy/grafana/boards [ROOT]`.

ROOT is the address at which a browser reads this repository: links to the runbook begin with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lorayard_cli.monitoring.boards.all import BOARDS
from lorayard_cli.monitoring.boards.grafana import board_file

if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.uid}.json").write_text(board_file(board, *sys.argv[2:]), encoding="utf-8")
