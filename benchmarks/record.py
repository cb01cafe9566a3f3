"""Run the benchmarks and keep what they printed: `python benchmarks/record.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
BENCHES = {"bus": ("bench", "bus", "--json")}


def main() -> int:
    """Run each benchmark once; the exit code is the worst of theirs."""
    RESULTS.mkdir(exist_ok=True)
    worst = 0
    for name, arguments in BENCHES.items():
        done = subprocess.run(
            [sys.executable, "-m", "lorayard_cli", *arguments], stdout=subprocess.PIPE, text=True, check=False
        )
        worst = max(worst, done.returncode)
        document = json.loads(done.stdout)
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return worst


if __name__ == "__main__":
    sys.exit(main())
