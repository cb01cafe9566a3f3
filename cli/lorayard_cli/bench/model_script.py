"""What scripts have in common that measure parts of the engine on one model: `benchmarks/engine/`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from lorayard_cli.bench.figures import surroundings
from lorayard_shared.logs import configure_logs

_MODEL = Path("~/.cache/lorayard/models/gemma3-270m")


def print_measured(bench: str, description: str | None, measure: Callable[[Path], Mapping[str, Any]]) -> None:
    """Run `measure` on the model folder of the command line, on one thread; its figures as JSON to stdout."""
    configure_logs(as_json=False, level="warning")  # to stderr
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", nargs="?", type=Path, default=_MODEL.expanduser())
    folder: Path = parser.parse_args().model
    torch.set_num_threads(1)
    with torch.inference_mode():
        found = {"bench": bench, **surroundings(), "torch": torch.__version__, **measure(folder)}
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


def alternately(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of CPU time of this thread, for each side."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            started = time.thread_time()
            run()
            if turn:  # the first warms caches up
                times[name].append((time.thread_time() - started) * 1000)
    return {name: round(statistics.median(values), 3) for name, values in times.items()}
