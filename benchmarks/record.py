"""Run benchmarks and keep what they printed: `python benchmarks/record.py [NAME ...]`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[1]
"""Where modules of this folder, and environments made by `make`, are found."""
RESULTS = ROOT / "benchmarks/results"
_CLI = ("-m", "lorayard_cli", "bench")
_ON_GPU = (*_CLI, "engine", "--json", "--device", "cuda", "--model")
_ENGINE = Path(__file__).parent / "engine"
BENCHES = {
    "bus": (*_CLI, "bus", "--json"),
    "engine": (*_CLI, "engine", "--json"),
    "routing": (*_CLI, "routing", "--json"),
    "adapters": (*_CLI, "adapters", "--json"),
    "gateway": (*_CLI, "gateway", "--json"),
    "metrics": (*_CLI, "metrics", "--json"),
    "top": (*_CLI, "top", "--json"),
    "view": (*_CLI, "view", "--json"),
}
"""Arguments of the interpreter; what one prints is kept under its name."""
SELDOM = {
    "audit": ("-m", "benchmarks.audit_cost"),
    "batch": (*_CLI, "batch", "--json", "--parts", str(ROOT / ".bench-batch.json")),
    "calibration": (*_CLI, "calibration", "--json"),
    "engine-gpu-1b": (*_ON_GPU, "random-1b"),
    "engine-gpu-7b": (*_ON_GPU, "random-7b"),
    "quantization": (str(_ENGINE / "quantization.py"),),
    "footprint": (str(_ENGINE / "footprint.py"),),
    "page": ("-m", "benchmarks.page.refresh"),
    "peers": ("-m", "benchmarks.peers.bench"),
}
"""Run where they are named only."""
IN_DOCS = {"audit", "top", "view"}
"""Tables in the documents are made of these."""


def main(names: Sequence[str] = ()) -> int:
    """Run each benchmark once, or those named; the exit code is the worst of theirs."""
    RESULTS.mkdir(exist_ok=True)
    known = {**BENCHES, **SELDOM}
    unknown = set(names) - set(known)
    if unknown:
        sys.stderr.write(f"no benchmark called {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return 2
    worst = 0
    for name in names or BENCHES:
        arguments = known[name]
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        worst = max(worst, done.returncode)
        document = read_document(done.stdout)
        if document is None:
            sys.stderr.write(f"{name}: no result (exit code {done.returncode}); the last one is kept\n")
            worst = max(worst, 1)
            continue
        (RESULTS / f"{name}.json").write_text(
            json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if IN_DOCS & set(names or BENCHES):
        subprocess.run([sys.executable, "-m", "benchmarks.docs_tables"], cwd=ROOT, check=True)
    return worst


def read_document(printed: str) -> dict[str, Any] | None:
    """What a benchmark printed; None for the error of one that failed, or for nothing."""
    try:
        document = json.loads(printed)
    except ValueError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) and "bench" in document else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
