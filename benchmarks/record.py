"""Run the benchmarks and keep what they printed: `python benchmarks/record.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

RESULTS = Path(__file__).parent / "results"
BENCHES = {"bus": ("bench", "bus", "--json"), "engine": ("bench", "engine", "--json")}


def main() -> int:
    """Run each benchmark once; the exit code is the worst of theirs."""
    RESULTS.mkdir(exist_ok=True)
    worst = 0
    for name, arguments in BENCHES.items():
        done = subprocess.run(
            [sys.executable, "-m", "lorayard_cli", *arguments], stdout=subprocess.PIPE, text=True, check=False
        )
        worst = max(worst, done.returncode)
        document = read_document(done.stdout)
        if document is None:
            sys.stderr.write(f"{name}: no result (exit code {done.returncode}); the last one is kept\n")
            worst = max(worst, 1)
            continue
        (RESULTS / f"{name}.json").write_text(
            json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return worst


def read_document(printed: str) -> dict[str, Any] | None:
    """What a benchmark printed; None for the error of one that failed, or for nothing."""
    try:
        document = json.loads(printed)
    except ValueError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) and "bench" in document else None


if __name__ == "__main__":
    sys.exit(main())
